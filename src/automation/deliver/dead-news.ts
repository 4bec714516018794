// Tells of dead letters that came, as system events: the first of a kind at once, all others of it once a minute, with their
// number. The letters themselves are what counts; what a worker that was killed had not told of them is not told.

import type { Bus } from "../../bus/bus.ts";
import type { Clock } from "../../clock.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import { fingerprintOf } from "../../event/fingerprint.ts";
import { deadEvent, systemPrefix } from "../../event/system-event.ts";
import type { Automation } from "../define/automation.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";
import type { Job } from "./job.ts";

const EVERY_MS = 60_000;
/** Kinds of errors that are told of apart from each other; what is beyond is told of by its reason alone. */
const MOST_KINDS = 20;

export interface DeadNewsOptions {
  readonly automation: Automation;
  readonly bus: Pick<Bus, "publish">;
  readonly clock: Clock;
  /** Ends the minute that is under way. */
  readonly signal: AbortSignal;
  /** It could not be told. */
  readonly failed: (error: unknown) => void;
}

interface Kind {
  readonly reason: DeadReason;
  readonly fingerprint: string | undefined;
  /** Not yet told. */
  count: number;
  newest: Pick<Job, "source" | "delivery">;
}

export class DeadNews {
  readonly #options: DeadNewsOptions;
  readonly #kinds = new Map<string, Kind>();
  /** One that hears of dead letters would hear of its own for ever. */
  readonly #silent: boolean;

  constructor(options: DeadNewsOptions) {
    this.#options = options;
    this.#silent = hearsOfDead(options.automation);
  }

  /** A dead letter is stored. */
  arrived(newest: Kind["newest"], reason: DeadReason, error: ErrorSummary): void {
    if (this.#silent) return;
    const exact = fingerprintOf(error);
    const fingerprint = this.#kinds.size < MOST_KINDS || this.#kinds.has(`${reason} ${exact}`) ? exact : undefined;
    const key = `${reason} ${fingerprint ?? ""}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) {
      known.count++;
      known.newest = newest;
      return;
    }
    const kind: Kind = { reason, fingerprint, count: 1, newest };
    this.#kinds.set(key, kind);
    void this.#tellRegularly(key, kind);
  }

  /** Until a minute brings none. */
  async #tellRegularly(key: string, kind: Kind): Promise<void> {
    const { clock, signal, failed } = this.#options;
    while (kind.count > 0) {
      const { count } = kind;
      kind.count = 0;
      await this.#tell(kind, count).catch(failed);
      await clock.sleep(EVERY_MS, signal);
      if (signal.aborted) break;
    }
    this.#kinds.delete(key);
  }

  async #tell({ reason, fingerprint, newest }: Kind, count: number): Promise<void> {
    const { automation, bus } = this.#options;
    const { source, delivery } = newest;
    const { stream, sequence, run = "" } = delivery;
    await bus.publish(
      deadEvent(`${automation.id}.${stream}.${sequence}.${run}`, {
        source,
        automation: automation.id,
        state: "arrived",
        count,
        reason,
        ...(fingerprint === undefined ? {} : { fingerprint }),
        stream,
        sequence,
      }),
    );
  }
}

function hearsOfDead({ triggers }: Automation): boolean {
  const prefix = systemPrefix("dead");
  return triggers.some((trigger) =>
    trigger
      .subscriptions({ outboxes: [] })
      .some(({ filter }) => filter.startsWith(prefix) || filter === "events._system.>"),
  );
}
