// Rows as COPY writes them, as events have them: the same encoder that the log's rows go through.

import type { CopiedRow } from "../../../event/source-event.ts";
import { JsonWriter } from "../../json-writer.ts";
import { FrameReader } from "../decode/frame-reader.ts";
import { RowEvents } from "../decode/row-events.ts";
import type { Table } from "../decode/table.ts";
import { Tuple } from "../decode/tuple.ts";
import { readLine } from "./copy-line.ts";

/** What the rows of a slice share. */
export type CopiedOf = Pick<CopiedRow, "backfill" | "collectionId" | "time">;

export class RowEncoder {
  readonly #reader = new FrameReader();
  readonly #tuple = new Tuple();
  readonly #events = new RowEvents(new JsonWriter());

  /**
   * @param line of COPY's text format, its values in the order of the table's columns; it is written over
   * @throws PoisonError when a value is none of its type
   */
  encode(table: Table, line: Buffer, { backfill, collectionId, time }: CopiedOf): CopiedRow {
    readLine(line, this.#tuple, table.columnCount);
    this.#reader.reset(line, 0, line.length);
    const { kind, lane, key, data } = this.#events.read(table, this.#reader, this.#tuple);
    return { type: "copied", backfill, collectionId, time, kind, lane, key, data };
  }

  /** The texts of these columns in the row that was encoded last, before its line is another's. */
  texts(columns: readonly number[]): readonly string[] {
    const { from, to } = this.#tuple;
    return columns.map((index) => this.#reader.bytes.toString("utf8", from[index], to[index]));
  }
}
