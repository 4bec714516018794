// One batch of a slice in hand: its rows as they may be stored at the moment that it is sent, and where the copy is behind them.

import { ConfigError, TransientError } from "../errors.ts";
import { formatCollectionName } from "../event/collection-name.ts";
import type { CopiedRow } from "../event/source-event.ts";
import type { CopyBatch, CopyTarget, Slice } from "../source/capabilities.ts";
import type { LeftOut } from "./asked-collections.ts";
import type { HeldSlice } from "./held-slice.ts";
import type { Owed, OwedRows } from "./owed-rows.ts";
import { type At, at, isSame, type Progress } from "./progress.ts";

/** What a batch of the stream takes: 4 MiB with the lines above each body, and the marker. */
const BATCH_ROWS = 999;
const BATCH_BYTES = 3 * 1024 * 1024;
const HEAD_BYTES = 1024;

/** A slice that was read, and what it was read for. */
export interface InHand {
  readonly target: CopyTarget;
  readonly held: HeldSlice;
  readonly slice: Slice;
  readonly owed: OwedRows;
  /** Of rows that are read once more; undefined for those behind the place of the copy. */
  readonly keys: readonly string[] | undefined;
  /** By now. */
  readonly leftOut: LeftOut;
}

export class SliceBatch implements CopyBatch {
  readonly notBefore: Slice["notBefore"];
  readonly version: Slice["version"];
  readonly #inHand: InHand;
  readonly #start: Progress;
  readonly #from: number;
  readonly #to: number;
  #taken: Progress;
  #end: number;
  #isFurther = false;
  #settled: readonly Owed[] = [];
  #added: readonly string[] = [];

  /** @param start what the stream says before it */
  constructor(inHand: InHand, start: Progress, from: number, to: number) {
    ({ notBefore: this.notBefore, version: this.version } = inHand.slice);
    this.#inHand = inHand;
    this.#start = { ...start, ...inHand.leftOut };
    this.#taken = this.#start;
    this.#from = from;
    this.#to = to;
    this.#end = from;
  }

  rows(): readonly CopiedRow[] {
    const { held, slice, owed, keys, target } = this.#inHand;
    const mayBeOwed = keys !== undefined ? () => true : slice.readsKeys === true ? owed.room : () => false;
    const took = held.take(this.#from, this.#to, mayBeOwed);
    this.#end = took.end;
    this.#settled = [];
    this.#added = [];
    const after = held.fault === undefined ? this.#after() : undefined;
    if (after !== undefined) {
      this.#settled = owed.size === 0 ? [] : [...this.#settles(new Set(took.rows.map(({ key }) => key)))];
      this.#added = took.owed;
    }
    this.#isFurther = after !== undefined && (keys === undefined || this.#settled.length > 0);
    if (!this.#isFurther || after === undefined) {
      // Of a slice that is spoiled by now, or whose next row must be read once more, nothing counts as passed.
      this.#taken = renewed(this.#start, target, owed);
      return [];
    }
    const { reason: _, ...start } = this.#start;
    const repeats = start.at !== undefined && isSame(start.at, target) && start.at.repeats;
    // What came whole by an event since is not owed any more.
    const due = keys === undefined ? took.rows : took.rows.filter(({ key }) => owed.has(key));
    // More are stored by each batch, so no two rows of one key have the same number.
    const rows = keys === undefined && !repeats ? due : due.map((row) => ({ ...row, again: start.rows }));
    const { id, namespace, collection } = target;
    const place = {
      ...{ id, namespace, collection, ...(repeats && { repeats }) },
      ...(slice.asOf && { asOf: slice.asOf }),
      ...{ ...after, ...owed.inMarker(this.#settled, this.#added) },
    };
    this.#taken = at({ ...start, state: "copying", rows: start.rows + rows.length }, place);
    return rows;
  }

  get progress(): Readonly<Record<string, unknown>> {
    return { ...this.#taken };
  }

  /** Whether the copy is further behind it. */
  get hasPassed(): boolean {
    const { keys, owed } = this.#inHand;
    return this.#isFurther || (keys?.some((key) => !owed.has(key)) ?? false);
  }

  /** Whether what follows in the slice may be sent. */
  get isWhole(): boolean {
    return this.#inHand.held.fault === undefined && this.#end === this.#to;
  }

  /** It is in the stream. */
  stored(): void {
    const { held, owed } = this.#inHand;
    owed.settle(this.#settled);
    for (const key of this.#added) {
      const change = held.owedFor(key); // of now: perhaps it came whole since
      if (change !== undefined) owed.add(key, change);
    }
  }

  /** The place behind it; undefined where nothing was passed. */
  #after(): Pick<At, "after"> | undefined {
    const { slice, keys } = this.#inHand;
    if (keys !== undefined) return { after: this.#start.at?.after as At["after"] & {} };
    const isLast = this.#end === slice.rows.length;
    if (isLast && slice.isLast) return { after: null };
    if (slice.rows.length === 0 && slice.passed !== undefined) return { after: slice.passed };
    return this.#end === this.#from ? undefined : { after: slice.after(this.#end - 1) };
  }

  /** What is owed no more behind it: rows that it stores, and those that were asked for and are not there. */
  *#settles(stored: ReadonlySet<string>): Generator<Owed> {
    const { held, slice, owed, keys } = this.#inHand;
    const asked = new Set(slice.isLast && this.#end === slice.rows.length ? keys : []);
    for (const one of owed.shownBy(slice))
      if (stored.has(one[0]) || (asked.has(one[0]) && !held.has(one[0]))) yield one;
  }
}

/** The same place, with what is owed there by now. */
export function renewed(progress: Progress, { id, namespace, collection }: CopyTarget, owed: OwedRows): Progress {
  const { at: place } = progress;
  if (place?.after === undefined || !owed.isOf(place)) return progress;
  const { after, repeats, asOf } = place;
  const kept = { after, ...(repeats && { repeats }), ...(asOf && { asOf }) };
  return at(progress, { id, namespace, collection, ...kept, ...owed.inMarker() });
}

/**
 * Behind the last row that goes into one batch, from one index on.
 * @throws ConfigError BACKFILL_ROW_TOO_LARGE when the first does not fit any
 */
export function batchEnd(
  rows: readonly CopiedRow[],
  from: number,
  target: CopyTarget,
  {
    maxMessageBytes,
    maxBatchRows = BATCH_ROWS,
  }: { readonly maxMessageBytes: number; readonly maxBatchRows?: number | undefined },
): number {
  const most = Math.min(maxMessageBytes, BATCH_BYTES);
  let bytes = 0;
  let to = from;
  while (to < rows.length && to - from < maxBatchRows) {
    const { data, key } = rows[to] as CopiedRow;
    const size = data.length + key.length + HEAD_BYTES;
    if (size > most && to === from) throw rowTooLarge(target, size, most);
    bytes += size;
    if (to > from && (bytes > BATCH_BYTES || size > most)) break;
    to++;
  }
  return to;
}

/** Nothing passed: it is tried again, and slower each time, until a slice is taken between two writes. */
export function rowBusy(target: CopyTarget): TransientError {
  const what = `a row of ${formatCollectionName(target)} is changed again and again, and its events lack its large values`;
  return new TransientError("BACKFILL_ROW_BUSY", what, {
    hint: "It passes when the row rests for a moment, a little longer than the worker is behind. Where it never does: REPLICA IDENTITY FULL for the table while it is copied.",
  });
}

function rowTooLarge(target: CopyTarget, size: number, most: number): ConfigError {
  const name = formatCollectionName(target);
  const what = `a row of ${name} has ${size} bytes as a message, of which ${most} are possible: it cannot be copied`;
  return new ConfigError("BACKFILL_ROW_TOO_LARGE", what, {
    hint: `Raise the server's max_payload (3 MiB are possible), leave the large column out, or go on without the collection: millrace backfill resume <source> --without ${name}`,
  });
}
