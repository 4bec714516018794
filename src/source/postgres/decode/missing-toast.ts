// A row whose event lacks values that the log left out: kept as it came, so that it can be written again with them.

import type { FrameReader } from "./frame-reader.ts";
import type { Table } from "./table.ts";
import { NULL, TEXT, type Tuple } from "./tuple.ts";

type KeptTuple = Pick<Tuple, "count" | "kinds" | "from" | "to">;

/** Undefined: the value stays unread; null: it is null by now. */
export type FoundValue = string | null | undefined;

export class MissingToast {
  readonly table: Table;
  /** The texts of the key's values, in the order of `table.key`. */
  readonly key: readonly string[];
  /** Indexes of the columns that the event lacks. */
  readonly columns: readonly number[];
  /** Whether its event is the second half of a changed key. */
  readonly moved: boolean;
  readonly #frame: Buffer;
  readonly #before: KeptTuple | undefined;
  readonly #after: KeptTuple;

  /** @param before the old row or its key, where the log has it */
  constructor(
    table: Table,
    columns: readonly number[],
    frame: FrameReader,
    { before, after, moved }: { readonly before: Tuple | undefined; readonly after: Tuple; readonly moved: boolean },
  ) {
    this.table = table;
    this.columns = columns;
    this.moved = moved;
    this.key = table.keyTexts(frame.bytes, after, before);
    this.#frame = Buffer.from(frame.bytes.subarray(frame.from, frame.end));
    this.#before = before && kept(before, frame.from);
    this.#after = kept(after, frame.from);
  }

  /** What is held of it beside its event. */
  get bytes(): number {
    return this.#frame.length;
  }

  /**
   * Sets reader and rows to what they were, and the values found behind it.
   * @param values for each of `columns`
   * @returns the old row, where there is one
   */
  restore(frame: FrameReader, before: Tuple, after: Tuple, values: readonly FoundValue[]): Tuple | undefined {
    if (this.#before !== undefined) before.restore(this.#before);
    after.restore(this.#after);
    const parts: Buffer[] = [this.#frame];
    let at = this.#frame.length;
    this.columns.forEach((column, nth) => {
      const value = values[nth];
      if (value === undefined) return;
      after.kinds[column] = value === null ? NULL : TEXT;
      const text = Buffer.from(value ?? "");
      parts.push(text);
      after.from[column] = at;
      at += text.length;
      after.to[column] = at;
    });
    frame.reset(Buffer.concat(parts), 0, at);
    return this.#before && before;
  }
}

function kept({ count, kinds, from, to }: Tuple, start: number): KeptTuple {
  const moved = (places: Int32Array): Int32Array => places.slice(0, count).map((place) => place - start);
  return { count, kinds: kinds.slice(0, count), from: moved(from), to: moved(to) };
}
