// A row as pgoutput sends it, read in place: for each column what it is and where its text stands in the frame.

import type { FrameReader } from "./frame-reader.ts";

/** Postgres allows 1600 columns. */
const MAX_COLUMNS = 1664;

export const NULL = 0x6e;
export const UNCHANGED = 0x75;
export const TEXT = 0x74;

/** Used again for every row; what it says is about the frame that was read last. */
export class Tuple {
  count = 0;
  readonly kinds: Uint8Array = new Uint8Array(MAX_COLUMNS);
  readonly from: Int32Array = new Int32Array(MAX_COLUMNS);
  readonly to: Int32Array = new Int32Array(MAX_COLUMNS);

  /** Sets it to what it was. */
  restore({ count, kinds, from, to }: Pick<Tuple, "count" | "kinds" | "from" | "to">): void {
    this.count = count;
    this.kinds.set(kinds);
    this.from.set(from);
    this.to.set(to);
  }

  /** @throws PoisonError when it does not end within the frame or is not in text format */
  read(reader: FrameReader, columns: number): void {
    const count = reader.uint16();
    if (count !== columns) throw reader.malformed("a row has another number of columns than its table");
    this.count = count;
    for (let column = 0; column < count; column++) {
      const kind = reader.uint8();
      this.kinds[column] = kind;
      if (kind === TEXT) {
        const length = reader.uint32();
        this.from[column] = reader.at;
        this.to[column] = reader.at + length;
        reader.skip(length);
      } else if (kind !== NULL && kind !== UNCHANGED) {
        throw reader.malformed("a column is neither text nor null nor unchanged");
      }
    }
  }
}
