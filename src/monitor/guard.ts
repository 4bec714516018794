// The guard: looks again and again at what a source holds back in its database, and says so when it is too much.
// It needs neither the lease nor the bus, so that it also speaks when the worker is stuck for want of one of them.

import { setTimeout as delay } from "node:timers/promises";
import { MillraceError, toError } from "../errors.ts";
import type { SourceId } from "../event/source-id.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Crossing, crossings } from "./crossings.ts";
import type { GuardStatus } from "./status.ts";

export interface GuardOptions {
  readonly source: SourceId;
  readonly watch: RetentionProbe;
  readonly everyMs: number;
  /** How long the bus itself holds back what is acknowledged, in seconds: no lag of the worker's. */
  readonly heldByBusSeconds: number;
  readonly log: Logger;
  /** Whether what is watched is the source's own: else it is never dropped. */
  readonly owned: () => boolean;
  /** Called once for each crossing, and when the last resort was taken; must not throw. */
  readonly onCrossing: (crossing: GuardEvent) => void;
  /** The source must stop: its slot is full, and it was asked to stop then. */
  readonly onStop: () => void;
  readonly signal: AbortSignal;
}

/** A limit that was crossed; `full`: the last resort was taken. */
export type GuardEvent =
  | Crossing
  | {
      readonly measure: "retainedBytes";
      readonly state: "full";
      readonly action: "stop" | "drop-and-gap";
      readonly value: number;
      readonly limit: number;
    };

const hints: Readonly<Record<RetentionMetric, string>> = {
  lost: "What was not read is lost to the stream: docs/operations/slot-lost.md.",
  retainedBytes: "The slot fills the server's disk: docs/operations/slot-growing.md.",
  timeToFullSeconds: "The slot is about to be lost: docs/operations/slot-growing.md.",
  lagSeconds: "The source does not keep up, or does not move: docs/operations/slot-growing.md.",
  catalogXminAge: "VACUUM cannot clean the catalog behind the slot: docs/operations/slot-growing.md.",
};

export class Guard {
  /** Resolves after the signal; never rejects. */
  readonly ended: Promise<void>;
  readonly source: SourceId;
  readonly #options: GuardOptions;
  readonly #limits: RetentionProbe["limits"];
  readonly #exceeded = new Set<RetentionMetric>();
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
    const { limits } = options.watch;
    this.#limits = { ...limits, lagSeconds: limits.lagSeconds + options.heldByBusSeconds };
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

  /** What is beyond its limit now. */
  get exceeded(): ReadonlySet<RetentionMetric> {
    return this.#exceeded;
  }

  get status(): GuardStatus {
    return {
      sees: this.#sees,
      exceeded: [...this.#exceeded].map((measure) => ({
        measure,
        value: this.#hold?.[measure],
        limit: this.#limits[measure],
      })),
      timeToFullSeconds: this.#hold?.timeToFullSeconds,
    };
  }

  async #run(): Promise<void> {
    const { watch, everyMs, signal } = this.#options;
    while (!signal.aborted) {
      await this.#look(watch);
      await delay(everyMs, undefined, { signal }).catch(() => {});
    }
    await watch[Symbol.asyncDispose]();
  }

  async #look(watch: RetentionProbe): Promise<void> {
    try {
      this.#hold = await watch.look();
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
    for (const crossing of crossings(this.#exceeded, hold, this.#limits)) {
      const { measure, state, value, limit } = crossing;
      const fields = { source, measure, value, limit };
      if (state === "exceeded") {
        this.#exceeded.add(measure);
        log.error("guard_exceeded", { ...fields, hint: hints[measure] });
      } else {
        this.#exceeded.delete(measure);
        log.info("guard_recovered", fields);
      }
      onCrossing(crossing);
    }
  }

  #isFull(): boolean {
    const limit = this.#options.watch.full?.atBytes ?? Number.POSITIVE_INFINITY;
    return !this.#stopped && (this.#hold?.retainedBytes ?? 0) >= limit;
  }

  async #lastResort(): Promise<void> {
    const { source, watch, log, owned, onCrossing, onStop } = this.#options;
    const value = this.#hold?.retainedBytes;
    if (watch.full === undefined || value === undefined) return;
    const { atBytes: limit, action } = watch.full;
    if (action === "drop-and-gap" && !(owned() && (await watch.drop()))) return; // not ours, or another worker was first
    log.error("guard_full", { source, action, value, limit, hint: "docs/operations/slot-growing.md" });
    onCrossing({ measure: "retainedBytes", state: "full", action, value, limit });
    if (action === "drop-and-gap") return;
    this.#stopped = true;
    onStop();
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
