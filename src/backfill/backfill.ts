// The copy of a source's existing rows beside its events, whatever its kind: docs/decisions/0020 has the argument. It obeys the
// order on record, goes through collections and slices, and says how far it is with each batch.

import type { Clock } from "../clock.ts";
import { backoffMs } from "../clock.ts";
import { ConfigError, TransientError, toError } from "../errors.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import type { Position } from "../event/position.ts";
import { comparePlace, type Positions, WHOLE } from "../event/positions.ts";
import type { CopiedRow } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { CopyBatch, CopyTarget, RowCopier, SideProducer, Slice } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Reason, reasonOf } from "../telemetry/reason.ts";
import { askedNames, estimateOf, isAt, leftOutBefore, targetOf } from "./asked-collections.ts";
import { filtered } from "./filtered-copier.ts";
import { HeldSlice } from "./held-slice.ts";
import type { CopiedGap, Order } from "./order.ts";
import { LOOK_MS, Patience } from "./patience.ts";
import { isOver, type Progress, parseProgress } from "./progress.ts";

/** Of one slice: some batches, and less than a second of a snapshot. */
const MAX_ROWS = 8 * 999;
const MAX_BYTES = 12 * 1024 * 1024;
/** What a batch of the stream takes: 4 MiB with the lines above each body, and the marker. */
const BATCH_ROWS = 999;
const BATCH_BYTES = 3 * 1024 * 1024;
const HEAD_BYTES = 1024;
const AGAIN = { minMs: 500, maxMs: 30_000 };

export interface BackfillOptions {
  readonly source: SourceId;
  readonly copier: RowCopier;
  /** What is on record by now. @param stored how far the newest copy is @throws TransientError, ConfigError */
  readonly order: (stored: Progress | undefined) => Promise<Order | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Bytes that a message of the stream may have: a row that is larger cannot be copied. */
  readonly maxMessageBytes: number;
  /** Of one slice. */
  readonly maxRows?: number;
}

/** What is to be done next. */
interface Work {
  readonly order: Order;
  /** Where it stands. */
  readonly progress: Progress;
  /** Whether the stream is yet to be told that it begins. */
  readonly isNew: boolean;
}

export class Backfill implements SideProducer {
  readonly #options: BackfillOptions;
  #held: HeldSlice | undefined;
  #maxRows: number;
  readonly #patience: Patience;

  constructor(options: BackfillOptions) {
    this.#options = options;
    this.#maxRows = options.maxRows ?? MAX_ROWS;
    this.#patience = new Patience(options);
  }

  /** Called with all that the source hands out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    this.#held?.handedOut(messages);
  }

  async *read({ after, signal }: Parameters<SideProducer["read"]>[0]): AsyncGenerator<CopyBatch, void> {
    const { clock, log, source } = this.#options;
    let stored = after && parseProgress(after);
    let failures = 0;
    let said: Reason | undefined;
    while (!signal.aborted) {
      const before = stored;
      let asked: Order | undefined;
      try {
        const work = await this.#work(stored);
        if (work === undefined) {
          await clock.sleep(LOOK_MS, signal);
          continue;
        }
        asked = work.order;
        for await (const batch of this.#next(work, signal)) {
          yield batch;
          stored = parseProgress(batch.progress);
          said = undefined;
          failures = 0;
        }
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toError(thrown);
        if (!(error instanceof ConfigError || error instanceof TransientError)) throw error;
        failures = stored === before ? failures + 1 : 1;
        // What passes by itself is told once it lasts; what a person has to change at once, and once.
        const reason = { ...reasonOf(error), ...(error.hint && { hint: error.hint }) };
        if ((error instanceof ConfigError || failures > 3) && !isSame(error, said ?? stored?.reason)) {
          log.warn("backfill_waiting", { source, code: error.code, hint: error.hint }, error.message);
          said = reason;
          // What is over has told all: what is asked for since has not begun.
          if (stored !== undefined && !isOver(stored)) {
            const waiting: Progress = { ...stored, state: "waiting", reason };
            yield saying(waiting);
            stored = waiting;
          }
        }
        const delayMs = Math.round(backoffMs(AGAIN, failures));
        await (asked === undefined
          ? clock.sleep(delayMs, signal)
          : this.#patience.rest(delayMs, asked, stored, signal));
      } finally {
        this.#held = undefined;
      }
    }
  }

  async #work(stored: Progress | undefined): Promise<Work | undefined> {
    const { order: read, clock } = this.#options;
    const order = await read(stored);
    if (order === undefined || order.backfill < (stored?.backfill ?? 0)) return undefined;
    if (stored?.backfill === order.backfill) {
      return isOver(stored) || order.state === "paused" ? undefined : { order, progress: stored, isNew: false };
    }
    if (order.state === "paused") return undefined;
    const startedAt = new Date(clock.wall()).toISOString();
    const { backfill } = order;
    const collections = askedNames(order, order.initial);
    return {
      order,
      progress: {
        ...{ backfill, state: "copying", startedAt, rows: 0, done: 0 },
        ...(collections && { collections }),
        ...(order.gaps && { gaps: order.gaps }),
        ...(order.where !== undefined && { filtered: true as const }),
      },
      isNew: order.state === "running",
    };
  }

  /** The batches of the next step: of one slice, or a marker alone. Ends early where something else is asked for. */
  async *#next({ order, progress: before, isNew }: Work, signal: AbortSignal): AsyncGenerator<CopyBatch, void> {
    const { copier: whole, log, source } = this.#options;
    const { backfill, where } = order;
    const copier = where === undefined ? whole : filtered(whole, where, source);
    if (isNew) {
      const estimatedRows = await estimateOf(copier, order);
      log.info("backfill_started", { source, backfill, estimatedRows });
      const begins = estimatedRows === undefined ? before : { ...before, estimatedRows };
      // Behind the markers of its gaps: whoever applies the stream hears of a gap first.
      yield { ...saying(begins), notBefore: endsOf(order.gaps) };
      return;
    }
    if (order.state === "cancelled") {
      log.info("backfill_cancelled", { source, backfill, rows: before.rows });
      yield saying({ ...before, state: "cancelled" });
      return;
    }
    const targets = await copier.targets();
    const target = targetOf(targets, order, before);
    const leftOut = leftOutBefore(target, targets, order, before);
    const progress = leftOut.length === 0 ? before : { ...before, leftOut };
    if (target === undefined) {
      const { reason: _, ...whole } = progress;
      log.info("backfill_completed", { source, backfill, rows: progress.rows, leftOut: progress.leftOut });
      yield saying({ ...whole, state: "completed" });
      return;
    }
    const goesOn = progress.at !== undefined && isAt(progress.at, target);
    const held = new HeldSlice(target);
    this.#held = held;
    const slice = await copier.readSlice({
      ...{ target, backfill, signal, maxRows: this.#maxRows, maxBytes: MAX_BYTES },
      after: (goesOn && progress.at?.after) || undefined,
    });
    held.fill(slice);
    if (held.fault === "overflowed") this.#maxRows = Math.max(1, Math.floor(this.#maxRows / 2));
    yield* this.#batches(held, slice, target, { order, progress }, signal);
  }

  async *#batches(
    held: HeldSlice,
    slice: Slice,
    target: CopyTarget,
    { order, progress: before }: Omit<Work, "isNew">,
    signal: AbortSignal,
  ): AsyncGenerator<CopyBatch, void> {
    let { reason: _, ...progress } = before;
    for (let from = 0; held.fault === undefined; ) {
      const to = this.#batchEnd(slice.rows, from, target);
      const isLast = to === slice.rows.length;
      const after = isLast && slice.isLast ? null : to === 0 ? slice.passed : slice.after(to - 1);
      if (after === undefined) return; // nothing was read, and something is behind it: never so
      const start = progress;
      let taken = start;
      let end = to;
      yield {
        notBefore: slice.notBefore,
        version: slice.version,
        rows: () => {
          const { rows, end: passed } = held.take(from, to);
          end = passed;
          const behind = end === to ? after : end === from ? undefined : slice.after(end - 1);
          // Of a slice that is spoiled by now, or whose next row must be read once more, nothing counts as passed.
          if (held.fault !== undefined || behind === undefined) {
            taken = start;
            return [];
          }
          const done = start.done + (behind === null ? 1 : 0);
          const { id, namespace, collection } = target;
          const at = { id, namespace, collection, after: behind };
          taken = { ...start, state: "copying", rows: start.rows + rows.length, done, at };
          return rows;
        },
        get progress() {
          return { ...taken };
        },
      };
      progress = taken;
      if (end === from && end < to && from === 0 && held.fault === undefined) throw rowBusy(target);
      if (await this.#patience.slow(to - from, order, taken, signal)) return;
      if (isLast || end < to) return;
      from = to;
    }
  }

  /** Behind the last row that goes into one batch. @throws ConfigError BACKFILL_ROW_TOO_LARGE when the first does not fit any */
  #batchEnd(rows: readonly CopiedRow[], from: number, target: CopyTarget): number {
    const most = Math.min(this.#options.maxMessageBytes, BATCH_BYTES);
    let bytes = 0;
    let to = from;
    while (to < rows.length && to - from < BATCH_ROWS) {
      const { data, key } = rows[to] as CopiedRow;
      const size = data.length + key.length + HEAD_BYTES;
      if (size > most && to === from) throw rowTooLarge(target, size, most);
      bytes += size;
      if (to > from && (bytes > BATCH_BYTES || size > most)) break;
      to++;
    }
    return to;
  }
}

/** Whether that was said: of what passes by itself the words may differ each time. */
function isSame(error: ConfigError | TransientError, said: Reason | undefined): boolean {
  return said?.code === error.code && (error instanceof TransientError || said.message === error.message);
}

/** Of each partition the newest end. */
function endsOf(gaps: readonly CopiedGap[] = []): Positions {
  const ends = new Map<string, Position>();
  for (const { partition = WHOLE, upTo } of gaps) {
    const end = upTo as Position;
    if (comparePlace({ partition, position: end }, ends) > 0) ends.set(partition, end);
  }
  return ends;
}

/** A marker without rows; it may stand anywhere between two transactions. */
function saying(progress: Progress): CopyBatch {
  return { notBefore: new Map(), rows: () => [], progress: { ...progress } };
}

/** Nothing passed: it is tried again, and slower each time, until a slice is taken between two writes. */
function rowBusy(target: CopyTarget): TransientError {
  const what = `a row of ${formatCollectionName(target)} is changed again and again, and its events lack its large values`;
  return new TransientError("BACKFILL_ROW_BUSY", what, {
    hint: "It passes when the row rests for a moment, a little longer than the worker is behind. Where it never does: REPLICA IDENTITY FULL for the table while it is copied.",
  });
}

function rowTooLarge(target: CopyTarget, size: number, most: number): ConfigError {
  const name = formatCollectionName(target);
  const what = `a row of ${name} has ${size} bytes as a message, of which ${most} are possible: it cannot be copied`;
  return new ConfigError("BACKFILL_ROW_TOO_LARGE", what, {
    hint: "Raise the server's max_payload (3 MiB are possible), leave the large column out, or cancel this copy and start one of the other collections: `millrace backfill cancel`.",
  });
}
