// Rows to events: the body's bytes, and what subject and headers need of it. One row is one event, a changed key two.

import type { Change, Unplaced } from "../../../event/source-event.ts";
import type { Op } from "../../../event/subject.ts";
import { escapedBound, type JsonWriter } from "../../json-writer.ts";
import type { FrameReader } from "./frame-reader.ts";
import { MissingToast } from "./missing-toast.ts";
import type { Table } from "./table.ts";
import { NULL, type Tuple, UNCHANGED } from "./tuple.ts";

/** An event before its place in the transaction is known. */
export interface RowEvent extends Unplaced<Change> {
  /** Where values that the log left out are to be asked of the database. */
  readonly missingToast?: MissingToast | undefined;
}

/** Keys, before and after: a value is written three times at most. */
const COPIES = 3;

const open = (op: Op): Buffer => Buffer.from(`{"op":"${op}","key":`);
const CREATED = open("created");
const UPDATED = open("updated");
const DELETED = open("deleted");
const READ = open("read");
const TRUNCATED = Buffer.from('{"op":"truncated","key":null,"before":null,"after":null}');
const BEFORE = Buffer.from(',"before":');
const BEFORE_NULL_AFTER = Buffer.from(',"before":null,"after":');
const AFTER = Buffer.from(',"after":');
const AFTER_NULL = Buffer.from(',"after":null');
const CHANGED = Buffer.from(',"changed":[');
const UNCHANGED_COLUMNS = Buffer.from(',"unchanged":[');
const MOVED_TO = Buffer.from(',"movedTo":');
const MOVED_FROM = Buffer.from(',"movedFrom":');
const ENRICHED = Buffer.from(',"enriched":');
const END = 0x7d;
const END_LIST = 0x5d;
const COMMA = 0x2c;

export class RowEvents {
  readonly #writer: JsonWriter;
  #from = 0;
  #keyFrom = 0;
  #keyTo = 0;

  constructor(writer: JsonWriter) {
    this.#writer = writer;
  }

  created(table: Table, frame: FrameReader, after: Tuple): RowEvent {
    return this.#created(table, frame, after, undefined, undefined);
  }

  /**
   * @param before the old row, whole or its key alone; undefined when the log carries none
   * @param enriched JSON of what was asked of the database
   */
  updated(table: Table, frame: FrameReader, before: Tuple | undefined, after: Tuple, enriched?: Uint8Array): RowEvent {
    const writer = this.#start(UPDATED, table, frame, after, before);
    const whole = table.full ? before : undefined;
    if (whole === undefined) {
      writer.literal(BEFORE_NULL_AFTER);
    } else {
      writer.literal(BEFORE);
      table.writeRow(writer, frame.bytes, whole, undefined);
      writer.literal(AFTER);
    }
    table.writeRow(writer, frame.bytes, after, whole);
    if (whole !== undefined) this.#changed(table, frame, whole, after);
    const lacking = this.#unchanged(table, after, whole);
    if (enriched !== undefined) this.#enriched(enriched);
    const event = this.#end("updated", table, frame, after, before);
    if (!lacking || table.reselected === undefined || enriched !== undefined) return event;
    return { ...event, missingToast: unreadRow(table, frame, before, after, false) };
  }

  /** @param movedTo the row under its new key, when the key was changed */
  deleted(table: Table, frame: FrameReader, before: Tuple, movedTo: Tuple | undefined): RowEvent {
    const writer = this.#start(DELETED, table, frame, before, undefined);
    writer.literal(BEFORE);
    // Without full identity the old row holds its key alone: null elsewhere means "not part of the key".
    if (table.full) table.writeRow(writer, frame.bytes, before, undefined);
    else table.writeKey(writer, frame.bytes, before, undefined);
    writer.literal(AFTER_NULL);
    if (movedTo !== undefined) {
      writer.literal(MOVED_TO);
      table.writeKey(writer, frame.bytes, movedTo, before);
    }
    return this.#end("deleted", table, frame, before, undefined);
  }

  /** The second half of a changed key. */
  moved(table: Table, frame: FrameReader, before: Tuple, after: Tuple, enriched?: Uint8Array): RowEvent {
    const event = this.#created(table, frame, after, table.full ? before : undefined, before, enriched);
    if (table.reselected === undefined || enriched !== undefined) return event;
    const unread = unreadRow(table, frame, before, after, true);
    return unread.columns.length === 0 ? event : { ...event, missingToast: unread };
  }

  /** A row as a copy of its table has seen it, whole. */
  read(table: Table, frame: FrameReader, row: Tuple): RowEvent {
    const writer = this.#start(READ, table, frame, row, undefined);
    writer.literal(BEFORE_NULL_AFTER);
    table.writeRow(writer, frame.bytes, row, undefined);
    return this.#end("read", table, frame, row, undefined);
  }

  truncated(table: Table): RowEvent {
    this.#writer.reserve(TRUNCATED.length);
    const start = this.#writer.at;
    this.#writer.literal(TRUNCATED);
    return {
      type: "change",
      kind: table.kind("truncated"),
      lane: "p00",
      key: "",
      data: this.#writer.view(start),
    };
  }

  #created(
    table: Table,
    frame: FrameReader,
    after: Tuple,
    whole: Tuple | undefined,
    movedFrom: Tuple | undefined,
    enriched?: Uint8Array,
  ): RowEvent {
    const writer = this.#start(CREATED, table, frame, after, movedFrom);
    writer.literal(BEFORE_NULL_AFTER);
    table.writeRow(writer, frame.bytes, after, whole);
    this.#unchanged(table, after, whole);
    if (movedFrom !== undefined) {
      writer.literal(MOVED_FROM);
      table.writeKey(writer, frame.bytes, movedFrom, undefined);
    }
    if (enriched !== undefined) this.#enriched(enriched);
    return this.#end("created", table, frame, after, movedFrom);
  }

  /** Opens the body, up to and with its key: that of `row`, of `old` where `row` lacks it. */
  #start(opening: Uint8Array, table: Table, frame: FrameReader, row: Tuple, old: Tuple | undefined): JsonWriter {
    const writer = this.#writer;
    writer.reserve(table.frameBytes + COPIES * escapedBound(frame.bytes, frame.from, frame.end));
    this.#from = writer.at;
    writer.literal(opening);
    this.#keyFrom = writer.at;
    table.writeKey(writer, frame.bytes, row, old);
    this.#keyTo = writer.at;
    return writer;
  }

  #end(op: Op, table: Table, frame: FrameReader, row: Tuple, old: Tuple | undefined): RowEvent {
    const writer = this.#writer;
    writer.byte(END);
    const json = writer.bytes;
    return {
      type: "change",
      kind: table.kind(op),
      lane: table.lane(json, this.#keyFrom, this.#keyTo),
      key: table.keyText(frame.bytes, row, old, json, this.#keyFrom, this.#keyTo),
      data: writer.view(this.#from),
    };
  }

  #changed(table: Table, frame: FrameReader, before: Tuple, after: Tuple): void {
    const writer = this.#writer;
    writer.literal(CHANGED);
    let first = true;
    for (let index = 0; index < after.count; index++) {
      const name = table.columnName(index);
      if (name === undefined || !differs(frame, before, after, index)) continue;
      if (!first) writer.byte(COMMA);
      first = false;
      writer.literal(name);
    }
    writer.byte(END_LIST);
  }

  #enriched(json: Uint8Array): void {
    this.#writer.literal(ENRICHED);
    this.#writer.literal(json);
  }

  /** @returns whether it names any */
  #unchanged(table: Table, after: Tuple, whole: Tuple | undefined): boolean {
    const writer = this.#writer;
    let open = false;
    for (let index = 0; index < after.count; index++) {
      if (after.kinds[index] !== UNCHANGED || (whole !== undefined && whole.kinds[index] !== UNCHANGED)) continue;
      const name = table.columnName(index);
      if (name === undefined) continue;
      if (open) writer.byte(COMMA);
      else writer.literal(UNCHANGED_COLUMNS);
      open = true;
      writer.literal(name);
    }
    if (open) writer.byte(END_LIST);
    return open;
  }
}

/** What is missing of a row of a table whose rows never come whole before. */
function unreadRow(
  table: Table,
  frame: FrameReader,
  before: Tuple | undefined,
  after: Tuple,
  moved: boolean,
): MissingToast {
  const columns: number[] = [];
  for (let index = 0; index < after.count; index++)
    if (after.kinds[index] === UNCHANGED && table.columnName(index) !== undefined) columns.push(index);
  return new MissingToast(table, columns, frame, { before, after, moved });
}

/** Whether an update gave the row another key. */
export function keyDiffers(table: Table, frame: FrameReader, before: Tuple, after: Tuple): boolean {
  for (const index of table.key) if (differs(frame, before, after, index)) return true;
  return false;
}

function differs(frame: FrameReader, before: Tuple, after: Tuple, index: number): boolean {
  const kind = after.kinds[index];
  if (kind === UNCHANGED || before.kinds[index] === UNCHANGED) return false;
  if (kind !== before.kinds[index]) return true;
  if (kind === NULL) return false;
  const { bytes } = frame;
  const from = after.from[index] as number;
  const to = after.to[index] as number;
  const oldFrom = before.from[index] as number;
  const oldTo = before.to[index] as number;
  if (to - from !== oldTo - oldFrom) return true;
  return bytes.compare(bytes, oldFrom, oldTo, from, to) !== 0;
}
