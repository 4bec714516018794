// Rows that a query gives, as events have them: the same encoder that the log's rows go through.

import type { CopiedRow } from "../../../event/source-event.ts";
import { JsonWriter } from "../../json-writer.ts";
import { FrameReader } from "../decode/frame-reader.ts";
import { RowEvents } from "../decode/row-events.ts";
import type { Table } from "../decode/table.ts";
import { NULL, TEXT, Tuple } from "../decode/tuple.ts";

export class RowEncoder {
  readonly #reader = new FrameReader();
  readonly #tuple = new Tuple();
  readonly #events = new RowEvents(new JsonWriter());

  /**
   * @param row texts as Postgres prints them, in the order of the table's columns
   * @throws PoisonError when a value is none of its type
   */
  encode(
    table: Table,
    row: readonly (string | null)[],
    of: Pick<CopiedRow, "backfill" | "collectionId" | "time">,
  ): CopiedRow {
    const text = row.join("");
    const bytes = Buffer.from(text);
    const isAscii = bytes.length === text.length;
    this.#reader.reset(bytes, 0, bytes.length);
    const tuple = this.#tuple;
    tuple.count = row.length;
    let at = 0;
    row.forEach((value, index) => {
      tuple.kinds[index] = value === null ? NULL : TEXT;
      tuple.from[index] = at;
      if (value !== null) at += isAscii ? value.length : Buffer.byteLength(value);
      tuple.to[index] = at;
    });
    const { kind, lane, key, data } = this.#events.read(table, this.#reader, tuple);
    return { type: "copied", ...of, kind, lane, key, data };
  }
}
