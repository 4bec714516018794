// The copy of a source's existing rows beside its events, whatever its kind: docs/decisions/0020 has the argument. It obeys the
// order on record, goes through collections and slices, and says how far it is with each batch.

import { backoffMs } from "../clock.ts";
import { ConfigError, TransientError, toError } from "../errors.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import type { Positions } from "../event/positions.ts";
import type { CopyBatch, CopyTarget, SideProducer } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";
import { type Reason, reasonOf } from "../telemetry/reason.ts";
import { estimateOf, isAt, leftOutBefore, targetOf } from "./asked-collections.ts";
import type { BackfillOptions } from "./backfill-options.ts";
import { filtered } from "./filtered-copier.ts";
import { endsOf, type Order } from "./order.ts";
import { OwedRows } from "./owed-rows.ts";
import { isSaid, LOOK_MS, Patience } from "./patience.ts";
import { type At, isDone, isOver, type Progress, parseProgress, placeOf } from "./progress.ts";
import { batchEnd, type InHand, renewed, rowBusy, SliceBatch } from "./slice-batch.ts";
import { type ReadSlice, SlicesInHand } from "./slices-in-hand.ts";
import { type Work, workOf } from "./work.ts";

const MAX_MS = 2 ** 31 - 1; // of a timer
/** Of one slice: some batches, and less than a second of a snapshot. */
const MAX_ROWS = 8 * 999;
const MAX_BYTES = 12 * 1024 * 1024;
/** Rows that are owed and read at once. */
const MAX_KEYS = 200;
const AGAIN = { minMs: 500, maxMs: 30_000 };

export class Backfill implements SideProducer {
  readonly #options: BackfillOptions;
  /** What the stream says. */
  #stored: Progress | undefined;
  readonly #slices: SlicesInHand;
  /** Of the collection that is copied. */
  #owed: OwedRows | undefined;
  /** Whether rows of it can be asked for by their keys; undefined before a slice of it was read. */
  #readsKeys: boolean | undefined;
  /** Whether the slice before was of rows that are owed: they and the others take turns. */
  #readOwed = false;
  #maxRows: number;
  #mostKeys = MAX_KEYS;
  readonly #patience: Patience;

  /**
   * @param after the progress of the newest batch in the stream: what is handed out from now on is held against it
   * @param since what the stream got since leaves owed: `owedSince`
   */
  constructor(
    options: BackfillOptions,
    after: Readonly<Record<string, unknown>> | undefined,
    since: readonly string[] = [],
  ) {
    this.#options = options;
    this.#maxRows = options.maxRows ?? MAX_ROWS;
    this.#slices = new SlicesInHand(options.maxNotedBytes);
    this.#patience = new Patience(options);
    this.#stored = after && parseProgress(after);
    const at = this.#stored?.at;
    if (this.#stored !== undefined && !isOver(this.#stored) && at !== undefined && !isDone(at))
      this.#owed = new OwedRows(at, at, options.maxMessageBytes, since);
  }

  /** Called with all that the source hands out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    this.#owed?.handedOut(messages);
    this.#slices.handedOut(messages);
  }

  /**
   * Resolves when the stream says what all that was handed out by now leaves to be read once more. Only then may a checkpoint pass
   * it: a worker that begins behind the checkpoint would not know.
   * @throws the signal's reason
   */
  async untilOwedStored(signal: AbortSignal): Promise<void> {
    const stored = this.#owed?.untilStored();
    if (stored === undefined) return;
    const over = new AbortController();
    await Promise.race([stored, this.#options.clock.sleep(MAX_MS, AbortSignal.any([signal, over.signal]))]);
    over.abort();
    signal.throwIfAborted();
  }

  async *read({ signal }: Pick<Parameters<SideProducer["read"]>[0], "signal">): AsyncGenerator<CopyBatch, void> {
    const { clock, log, source } = this.#options;
    let failures = 0;
    let said: Reason | undefined;
    while (!signal.aborted) {
      const before = this.#stored;
      let asked: Order | undefined;
      try {
        const work = yield* this.#beside(this.#work());
        if (work === undefined) {
          yield* this.#beside(this.#slices.idle());
          await this.#options.copier.rest?.();
          yield* this.#beside(clock.sleep(LOOK_MS, signal));
          continue;
        }
        asked = work.order;
        yield* this.#next(work, signal);
        said = undefined;
        failures = 0;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toError(thrown);
        if (!(error instanceof ConfigError || error instanceof TransientError)) throw error;
        const stored = this.#stored;
        const isFurther = placeOf(stored) !== placeOf(before);
        failures = isFurther ? 1 : failures + 1;
        if (isFurther) said = undefined;
        // What passes by itself is told once it lasts; what a person has to change at once, and once.
        const reason = { ...reasonOf(error), ...(error.hint && { hint: error.hint }) };
        if ((error instanceof ConfigError || failures > 3) && !isSaid(error, said ?? stored?.reason)) {
          log.warn("backfill_waiting", { source, code: error.code, hint: error.hint }, error.message);
          said = reason;
          // What is over has told all: what is asked for since has not begun.
          if (stored !== undefined && !isOver(stored)) yield* this.#say({ ...stored, state: "waiting", reason });
        }
        const delayMs = Math.round(backoffMs(AGAIN, failures));
        const rest = asked && this.#patience.rest(delayMs, asked, this.#stored, signal);
        yield* this.#beside<unknown>(rest ?? clock.sleep(delayMs, signal));
      } finally {
        this.#slices.drop();
      }
    }
  }

  async #work(): Promise<Work | undefined> {
    const { order, clock } = this.#options;
    return workOf(await order(this.#stored), this.#stored, new Date(clock.wall()).toISOString());
  }

  /** The batches of the next step: of one slice, or a marker alone. Ends early where something else is asked for. */
  async *#next({ order, progress: before, isNew }: Work, signal: AbortSignal): AsyncGenerator<CopyBatch, void> {
    const { copier: whole, log, source } = this.#options;
    const { backfill, where } = order;
    const copier = where === undefined ? whole : filtered(whole, where, source);
    if (isNew) {
      this.#leave();
      const estimatedRows = yield* this.#beside(estimateOf(copier, order));
      log.info("backfill_started", { source, backfill, estimatedRows });
      const begins = estimatedRows === undefined ? before : { ...before, estimatedRows };
      // Behind the markers of its gaps: whoever applies the stream hears of a gap first.
      return yield* this.#say(begins, endsOf(order.gaps));
    }
    if (order.state === "cancelled") {
      this.#leave();
      log.info("backfill_cancelled", { source, backfill, rows: before.rows });
      return yield* this.#say({ ...before, state: "cancelled" });
    }
    const targets = yield* this.#beside(copier.targets());
    const stored = this.#stored ?? before; // perhaps it was said meanwhile that nothing is owed any more
    const target = targetOf(targets, order, stored);
    const leftOut = leftOutBefore(target, targets, order, stored);
    const progress = { ...stored, ...leftOut };
    if (target === undefined) {
      this.#leave();
      const { reason: _, ...whole } = progress;
      log.info("backfill_completed", { source, backfill, rows: progress.rows, leftOut: progress.leftOut });
      return yield* this.#say({ ...whole, state: "completed" });
    }
    const place = progress.at !== undefined && isAt(progress.at, target) ? progress.at : undefined;
    const owed = this.#owedOf(target, place);
    if (place?.after === null && (owed.isOverflowed || (owed.size > 0 && this.#readsKeys === false)))
      return yield* this.#again(progress, target);
    // All that was owed came by events.
    if (place?.after === null && owed.size === 0) return yield* this.#say(progress);
    const keys = this.#keysOf(place, owed);
    this.#readOwed = keys !== undefined;
    const request = {
      ...{ target, backfill, signal, keys, maxRows: this.#maxRows, maxBytes: MAX_BYTES },
      after: place?.after ?? undefined,
    };
    let read: ReadSlice | undefined = yield* this.#beside(this.#slices.read(copier, request));
    // One slice after the other, as long as nothing else is due.
    while (read !== undefined) {
      const { held, slice } = read;
      if (slice.isVoid === true) return yield* this.#again({ ...progress, ...this.#stored }, target);
      this.#readsKeys = slice.readsKeys === true;
      if (keys !== undefined && !this.#readsKeys) return;
      // Too large for one slice: what a filter leaves out of it is settled only where it is whole.
      if (keys !== undefined) this.#mostKeys = slice.isLast ? MAX_KEYS : Math.max(1, Math.floor(keys.length / 2));
      if (held.fault === "overflowed") this.#maxRows = Math.max(1, Math.floor(this.#maxRows / 2));
      // What is owed is read next. Of a copy with a rate a slice would be held for long, and nothing waits for reading.
      if (keys === undefined && owed.size === 0 && order.rate === undefined)
        this.#slices.readAhead(copier, request, read);
      const inHand = { target, held, slice, owed, keys, leftOut };
      if (!(yield* this.#batches(inHand, order, signal))) return;
      read = yield* this.#beside(this.#slices.next());
    }
  }

  /** The collection is read once more, from its first row on. */
  async *#again(progress: Progress, target: CopyTarget): AsyncGenerator<CopyBatch, void> {
    const { log, source } = this.#options;
    log.warn("backfill_again", { source, backfill: progress.backfill, collection: formatCollectionName(target) });
    yield* this.#say({ ...progress, at: { ...target, repeats: true } });
  }

  /** Returns whether all of the slice is passed, and nothing else is asked for. */
  async *#batches(inHand: InHand, order: Order, signal: AbortSignal): AsyncGenerator<CopyBatch, boolean> {
    const { target, held, slice, keys } = inHand;
    for (let from = 0; held.fault === undefined; ) {
      const to = batchEnd(slice.rows, from, target, this.#options);
      const isLast = to === slice.rows.length;
      if (to === 0 && !slice.isLast && slice.passed === undefined) return false; // nothing was read, and something is behind it: never so
      const batch = new SliceBatch(inHand, this.#stored as Progress, from, to);
      yield* this.#send(batch, () => batch.stored());
      // Nothing passed: it is tried again, and slower each time, until a slice is taken between two writes.
      const isAlone = keys === undefined || this.#stored?.at?.after === null;
      if (from === 0 && !batch.hasPassed && held.fault === undefined && isAlone) throw rowBusy(target);
      if (yield* this.#beside(this.#patience.slow(to - from, order, this.#stored as Progress, signal))) return false;
      if (isLast || !batch.isWhole) return batch.isWhole;
      from = to;
    }
    return false;
  }

  /** They are read before the next slice, and behind the last one until there are none. */
  #keysOf(place: At | undefined, owed: OwedRows): readonly string[] | undefined {
    if (place?.after === undefined || owed.size === 0) return undefined;
    if (place.after !== null && (this.#readOwed || this.#readsKeys === false)) return undefined;
    return owed.first(this.#mostKeys);
  }

  /** @param place where the stream says that it is in there; undefined where it has none of its rows */
  #owedOf(target: CopyTarget, place: At | undefined): OwedRows {
    if (this.#owed?.isOf(target) === true) {
      this.#owed.renamed(target);
      return this.#owed;
    }
    this.#leave();
    this.#owed = new OwedRows(target, place, this.#options.maxMessageBytes);
    return this.#owed;
  }

  /** Nothing more comes of the collection. */
  #leave(): void {
    this.#owed?.end();
    this.#owed = undefined;
    this.#readsKeys = undefined;
    this.#readOwed = false;
  }

  /** What it resolves to; markers are sent meanwhile where a checkpoint waits for one. */
  async *#beside<T>(work: Promise<T>): AsyncGenerator<CopyBatch, T> {
    const done = work.then((value) => ({ value }));
    done.catch(() => {}); // it may fail while a marker is on its way
    for (;;) {
      const owed = this.#owed;
      if (this.#stored !== undefined && owed?.isWanted === true) yield* this.#say(this.#stored);
      const end = await Promise.race(owed === undefined ? [done] : [done, owed.wanted.wait()]);
      if (end !== undefined) return end.value;
    }
  }

  /** A marker without rows; it may stand anywhere between two transactions. */
  async *#say(progress: Progress, notBefore: Positions = new Map()): AsyncGenerator<CopyBatch, void> {
    const { at } = progress;
    const owed = at !== undefined && this.#owed?.isOf(at) === true ? this.#owed : undefined;
    let taken = progress;
    yield* this.#send({
      notBefore,
      rows: () => {
        if (at !== undefined && owed !== undefined) taken = renewed(progress, at, owed);
        return [];
      },
      get progress() {
        return { ...taken };
      },
    });
  }

  async *#send(batch: CopyBatch, stored?: () => void): AsyncGenerator<CopyBatch, void> {
    yield batch;
    this.#stored = parseProgress(batch.progress);
    stored?.();
    const place = this.#stored?.at;
    if (place === undefined || this.#owed?.isOf(place) !== true) return;
    this.#owed.markerStored(place);
    if (isDone(place)) this.#leave();
  }
}
