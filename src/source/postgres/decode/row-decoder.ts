// Decodes what a transaction did to one row, from its frame: to an event, or two where its key was changed.

import { JsonWriter } from "../../json-writer.ts";
import type { FrameReader } from "./frame-reader.ts";
import { KeyCollisions } from "./key-collisions.ts";
import { INSERT, KEY, NEW, OLD, UPDATE } from "./pgoutput-tags.ts";
import { keyMissing } from "./poison-row.ts";
import { keyDiffers, type RowEvent, RowEvents } from "./row-events.ts";
import type { Table } from "./table.ts";
import { Tuple } from "./tuple.ts";

export class RowDecoder {
  readonly #reader: FrameReader;
  readonly #push: (position: string, event: RowEvent) => void;
  readonly #events = new RowEvents(new JsonWriter());
  readonly #collisions = new KeyCollisions();
  readonly #before = new Tuple();
  readonly #after = new Tuple();

  /** @param reader in which each frame stands, behind the number of its table */
  constructor(reader: FrameReader, push: (position: string, event: RowEvent) => void) {
    this.#reader = reader;
    this.#push = push;
  }

  /** A transaction begins. */
  begin(): void {
    this.#collisions.begin();
  }

  /**
   * @param second the position of the second half of a changed key
   * @throws PoisonError when it cannot be decoded
   */
  decode(kind: number, table: Table, position: string, second: () => string): void {
    if (kind === INSERT) this.#insert(table, position);
    else if (kind === UPDATE) this.#update(table, position, second);
    else this.#delete(table, position);
  }

  /** The new row of an INSERT. */
  inserted(columns: number): Tuple {
    this.#tuple(NEW, columns, this.#after);
    return this.#after;
  }

  /** What a DELETE tells of the row. */
  deleted(columns: number): Tuple {
    this.#reader.uint8();
    this.#before.read(this.#reader, columns);
    return this.#before;
  }

  truncated(table: Table): RowEvent {
    this.#collisions.truncated(table);
    return this.#events.truncated(table);
  }

  #insert(table: Table, position: string): void {
    const after = this.inserted(table.columnCount);
    this.#push(position, this.#events.created(table, this.#reader, after));
    this.#collisions.came(table, this.#reader.bytes, after, undefined);
  }

  #update(table: Table, position: string, second: () => string): void {
    const reader = this.#reader;
    const kind = reader.uint8();
    const before = kind === NEW ? undefined : this.#before;
    if (before !== undefined) {
      this.#oldTuple(kind, table);
      this.#tuple(NEW, table.columnCount, this.#after);
    } else {
      this.#after.read(reader, table.columnCount);
    }
    if (before === undefined || !keyDiffers(table, reader, before, this.#after)) {
      if (before !== undefined && this.#collisions.changed(table, reader.bytes, before, this.#after)) return;
      this.#push(position, this.#events.updated(table, reader, before, this.#after));
      return;
    }
    const deleted = this.#events.deleted(table, reader, before, this.#after);
    const created = this.#events.moved(table, reader, before, this.#after);
    if (!this.#collisions.left(table, reader.bytes, before)) this.#push(position, deleted);
    this.#push(second(), created);
    this.#collisions.came(table, reader.bytes, this.#after, before);
  }

  #delete(table: Table, position: string): void {
    this.#oldTuple(this.#reader.uint8(), table);
    if (this.#collisions.left(table, this.#reader.bytes, this.#before)) return;
    this.#push(position, this.#events.deleted(table, this.#reader, this.#before, undefined));
  }

  #oldTuple(kind: number, table: Table): void {
    if (kind !== KEY && kind !== OLD) throw this.#reader.malformed("an old row is neither whole nor a key");
    this.#before.read(this.#reader, table.columnCount);
    if (!table.hasKey(this.#before)) throw keyMissing();
  }

  #tuple(expected: number, columns: number, tuple: Tuple): void {
    if (this.#reader.uint8() !== expected) throw this.#reader.malformed("a row has no new values");
    tuple.read(this.#reader, columns);
  }
}
