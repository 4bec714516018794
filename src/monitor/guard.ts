// The guard: looks again and again at what a source holds back in its database, and says so when it is too much.
// It needs neither the lease nor the bus, so that it also speaks when the worker is stuck for want of one of them.

import type { Clock } from "../clock.ts";
import { type HistoryLostError, MillraceError, toError } from "../errors.ts";
import type { Positions } from "../event/positions.ts";
import type { SourceId } from "../event/source-id.ts";
import { isBeyond, type LogRetention, type RetentionMetric, type RetentionProbe } from "../source/retention.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { GuardStatus } from "./status.ts";

export interface GuardOptions {
  readonly source: SourceId;
  readonly kind: string;
  readonly watch: RetentionProbe;
  readonly everyMs: number;
  /** How long the bus itself holds back what is acknowledged, in seconds: no lag of the worker's. */
  readonly heldByBusSeconds: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether what is watched is the source's own: else it is never dropped. */
  readonly owned: () => boolean;
  /** What the source has acknowledged; undefined while this worker does not read it. */
  readonly through: () => Positions | undefined;
  /** Called once for each crossing, and when the last resort was taken; must not throw. */
  readonly onCrossing: (crossing: GuardEvent) => void;
  /** The source must stop: its log is full, and it was asked to stop then. */
  readonly onStop: (reason: HistoryLostError) => void;
  readonly signal: AbortSignal;
}

/** A limit that was crossed; `full`: the last resort was taken. */
export type GuardEvent =
  | Crossing
  | {
      readonly measure: string;
      readonly state: "full";
      readonly action: "stop" | "drop-and-gap";
      readonly value: number;
      readonly limit: number;
    };

/** As in the alert rules: docker/prometheus/alerts.yml. */
const FULL_SOON_SECONDS = 3600;

export class Guard {
  /** Resolves after the signal; never rejects. */
  readonly ended: Promise<void>;
  readonly source: SourceId;
  /** Of the source. */
  readonly kind: string;
  /** With the limits that it goes by. */
  readonly metrics: readonly RetentionMetric[];
  readonly #options: GuardOptions;
  readonly #exceeded = new Set<string>();
  #hold: LogRetention | undefined;
  #sees = false;
  #looked = false;
  /** Codes of what was said already. */
  readonly #blind = new Set<string>();
  readonly #failed = new Set<string>();
  #stopped = false;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.source = options.source;
    this.kind = options.kind;
    this.metrics = options.watch.metrics.map((metric) =>
      metric.means === "lag" ? { ...metric, limit: metric.limit + options.heldByBusSeconds } : metric,
    );
    this.ended = this.#run();
  }

  /** As of the last look; undefined while the database does not answer, or there is nothing that could be held. */
  get hold(): LogRetention | undefined {
    return this.#hold;
  }

  /** Whether a first look is over. */
  get looked(): boolean {
    return this.#looked;
  }

  /** Whether the last look was answered. */
  get sees(): boolean {
    return this.#sees;
  }

  /** Names of what is beyond its limit now. */
  get exceeded(): ReadonlySet<string> {
    return this.#exceeded;
  }

  get status(): GuardStatus {
    const hold = this.#hold ?? {};
    const timeToFull = this.metrics.find(({ means }) => means === "timeToFull");
    const seconds = timeToFull && hold[timeToFull.name];
    return {
      sees: this.#sees,
      exceeded: this.metrics
        .filter(({ name }) => this.#exceeded.has(name))
        .map(({ name, limit, alarm }) => {
          const value = hold[name];
          return { measure: name, value, limit, message: alarm(value ?? 0, limit) };
        }),
      timeToFullSeconds: seconds,
      soon: seconds !== undefined && seconds < FULL_SOON_SECONDS ? timeToFull?.soon?.(seconds) : undefined,
      measures: this.#hold && known(this.#hold),
      summary: this.#sees ? this.#options.watch.summary : undefined,
    };
  }

  async #run(): Promise<void> {
    const { watch, everyMs, clock, signal } = this.#options;
    while (!signal.aborted) {
      await this.#look(watch);
      await clock.sleep(everyMs, signal);
    }
    await watch[Symbol.asyncDispose]();
  }

  async #look(watch: RetentionProbe): Promise<void> {
    try {
      this.#hold = await watch.look(this.#options.through());
      this.#sees = true;
      this.#blind.clear();
    } catch (thrown) {
      this.#hold = undefined;
      this.#sees = false;
      this.#sayOnce(this.#blind, "guard_blind", toError(thrown));
      return;
    } finally {
      this.#looked = true;
    }
    this.#compare(this.#hold);
    if (!this.#isFull()) return;
    try {
      await this.#lastResort();
      this.#failed.clear();
    } catch (thrown) {
      this.#sayOnce(this.#failed, "guard_drop_failed", toError(thrown)); // it is tried again at the next look
    }
  }

  #compare(hold: LogRetention | undefined): void {
    const { source, log, onCrossing } = this.#options;
    for (const crossing of crossings(this.#exceeded, hold, this.metrics)) {
      const { measure, state, value, limit } = crossing;
      const fields = { source, measure, value, limit };
      if (state === "exceeded") {
        this.#exceeded.add(measure);
        log.error("guard_exceeded", { ...fields, hint: this.#hint(measure) });
      } else {
        this.#exceeded.delete(measure);
        log.info("guard_recovered", fields);
      }
      onCrossing(crossing);
    }
  }

  #isFull(): boolean {
    const { full } = this.#options.watch;
    return full !== undefined && !this.#stopped && (this.#hold?.[full.measure] ?? 0) >= full.limit;
  }

  async #lastResort(): Promise<void> {
    const { source, watch, log, owned, onCrossing, onStop } = this.#options;
    if (watch.full === undefined) return;
    const { measure, limit, action, reason } = watch.full;
    const value = this.#hold?.[measure];
    if (value === undefined) return;
    if (action === "drop-and-gap" && !(owned() && (await watch.drop()))) return; // not ours, or another worker was first
    log.error("guard_full", { source, action, value, limit, hint: this.#hint(measure) });
    onCrossing({ measure, state: "full", action, value, limit });
    if (action === "drop-and-gap") return;
    this.#stopped = true;
    onStop(reason);
  }

  #hint(measure: string): string | undefined {
    return this.metrics.find(({ name }) => name === measure)?.hint;
  }

  /** Once for each reason: the source itself says all the rest. */
  #sayOnce(said: Set<string>, event: "guard_blind" | "guard_drop_failed", error: Error): void {
    const { code, hint } = error instanceof MillraceError ? error : { code: "UNEXPECTED", hint: undefined };
    if (said.has(code)) return;
    said.add(code);
    const level = event === "guard_blind" ? "warn" : "error";
    this.#options.log[level](event, { source: this.source, code, hint }, error.message);
  }
}

export interface Crossing {
  /** The metric's name. */
  readonly measure: string;
  readonly state: "exceeded" | "recovered";
  /** Undefined when there is none any more. */
  readonly value: number | undefined;
  readonly limit: number;
}

/** Else a value that swings around its limit would be told at every swing. */
const BACK = 0.8;

/**
 * @param exceeded names of what was exceeded before
 * @param hold undefined when there is nothing that could be held: all is back
 */
export function crossings(
  exceeded: ReadonlySet<string>,
  hold: LogRetention | undefined,
  metrics: readonly RetentionMetric[],
): readonly Crossing[] {
  // A log that is given up holds nothing: the other measures say neither good nor bad.
  const lost = metrics.filter(({ means, name }) => means === "lost" && hold?.[name]);
  return (lost.length > 0 ? lost : metrics).flatMap((metric): Crossing[] => {
    const { name: measure, limit } = metric;
    const value = hold?.[measure];
    const was = exceeded.has(measure);
    const is = value !== undefined && isBeyond(metric, value, was ? BACK : 1);
    return was === is ? [] : [{ measure, state: is ? "exceeded" : "recovered", value, limit }];
  });
}

function known(hold: LogRetention): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(hold).filter((entry): entry is [string, number] => entry[1] !== undefined));
}
