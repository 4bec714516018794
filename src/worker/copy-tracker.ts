// How the newest copy of a source does, as the worker that copies knows it: read by status, readiness and metrics, and said in
// the log from time to time.

import type { BackfillOptions } from "../backfill/backfill-options.ts";
import type { Order } from "../backfill/order.ts";
import { isDone, type Progress, parseProgress } from "../backfill/progress.ts";
import { type CopyStanding, type CopyState, newestCopy } from "../backfill/standing.ts";
import type { Clock } from "../clock.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import type { SourceId } from "../event/source-id.ts";
import type { SideProducer } from "../source/capabilities.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Reason } from "../telemetry/reason.ts";

/** A copy as it is now. */
export interface CopyStatus {
  /** Its number. */
  readonly backfill: number;
  readonly state: CopyState;
  /** Rows that it has stored, and about how many there were when it began. */
  readonly rows: number;
  readonly estimatedRows?: number;
  /** Collections that are done, and the one that it is in. */
  readonly done: number;
  readonly collection?: string;
  readonly leftOut?: readonly string[];
  /** Why it waits; only then. */
  readonly reason?: Reason;
  /** Who asked for that last, and when. */
  readonly by?: string;
  readonly at?: string;
  /** For how long it has not got on, though it should. */
  readonly idleMs?: number;
}

export interface CopyTrackerOptions {
  readonly source: SourceId;
  /** Raised here; the metrics read them. */
  readonly counts: { copied: number };
  readonly clock: Clock;
  readonly log: Logger;
}

const LOG_EVERY_MS = 60_000;

export class CopyTracker {
  readonly #options: CopyTrackerOptions;
  #order: Order | undefined;
  #progress: Progress | undefined;
  #state: CopyState | undefined;
  /** When it got on last, or began to be asked for. */
  #movedAt = 0;
  #saidAt = 0;

  constructor(options: CopyTrackerOptions) {
    this.#options = options;
  }

  /** Undefined while this worker does not copy, and where nobody ever asked for a copy. */
  status(): CopyStatus | undefined {
    const copy = newestCopy(this.#order, this.#progress);
    if (copy === undefined) return undefined;
    const { backfill, state, order, progress } = copy;
    const { rows = 0, done = 0, estimatedRows, leftOut, reason } = progress ?? {};
    const collection = collectionOf(copy);
    return {
      ...{ backfill, state, rows, done },
      ...(estimatedRows !== undefined && { estimatedRows }),
      ...(collection !== undefined && { collection }),
      ...(leftOut && { leftOut }),
      ...(state === "waiting" && reason && { reason: { code: reason.code, message: reason.message } }),
      ...(order && { by: order.by, at: order.at }),
      ...(shouldMove(state) && { idleMs: this.#options.clock.now() - this.#movedAt }),
    };
  }

  /** What people ask for, heard as the copy hears it. */
  heard(order: BackfillOptions["order"]): BackfillOptions["order"] {
    return async (stored) => {
      const heard = await order(stored);
      this.#order = heard;
      this.#look(false);
      return heard;
    };
  }

  /** The producer, whose batch is stored when the next one is asked for. */
  watched(producer: SideProducer): SideProducer {
    const tracker = this;
    return {
      async *read(options) {
        tracker.#progress = options.after && parseProgress(options.after);
        tracker.#movedAt = tracker.#options.clock.now();
        for await (const batch of producer.read(options)) {
          yield batch;
          tracker.#told(parseProgress(batch.progress));
        }
      },
    };
  }

  /** This worker copies no longer. */
  closed(): void {
    this.#order = undefined;
    this.#progress = undefined;
    this.#state = undefined;
  }

  #told(progress: Progress | undefined): void {
    const before = this.#progress;
    const same = before?.backfill === progress?.backfill;
    const rows = (progress?.rows ?? 0) - (same ? (before?.rows ?? 0) : 0);
    this.#options.counts.copied += Math.max(0, rows);
    this.#progress = progress;
    this.#look(!same || JSON.stringify(before?.at) !== JSON.stringify(progress?.at));
  }

  #look(moved: boolean): void {
    const { clock, log, source } = this.#options;
    const now = clock.now();
    const copy = newestCopy(this.#order, this.#progress);
    const changed = copy?.state !== this.#state;
    const rested = this.#state === undefined || !shouldMove(this.#state);
    if (moved || (changed && rested)) this.#movedAt = now;
    const before = this.#state;
    this.#state = copy?.state;
    if (copy === undefined) return;
    const { backfill, state, order, progress: { rows = 0, done = 0, estimatedRows } = {} } = copy;
    const fields = { source, backfill, rows, estimatedRows, done, collection: collectionOf(copy) };
    if (changed && state === "paused") log.info("backfill_paused", { ...fields, by: order?.by, at: order?.at });
    if (changed && before === "paused" && shouldMove(state)) log.info("backfill_resumed", { ...fields, by: order?.by });
    if (!moved || state !== "copying" || now - this.#saidAt < LOG_EVERY_MS) return;
    this.#saidAt = now;
    log.info("backfill_progress", fields);
  }
}

function shouldMove(state: CopyState): boolean {
  return state === "ordered" || state === "copying" || state === "waiting";
}

function collectionOf({ state, progress }: CopyStanding): string | undefined {
  const at = progress?.at;
  const isIn = at !== undefined && !isDone(at) && state !== "completed" && state !== "cancelled";
  return isIn ? formatCollectionName(at) : undefined;
}
