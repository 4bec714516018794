// Decodes pgoutput (protocol version 1): the frames of the log to events, keepalives and commits to places to rest at.

import { isDeepStrictEqual } from "node:util";
import { BugError, PoisonError, toError } from "../../errors.ts";
import type { Position } from "../../event/position.ts";
import type { SourceId } from "../../event/source-id.ts";
import { type TableDescription, unknownTable } from "./catalog.ts";
import { CUT, type KeptBytes, keptOf, keptOfCut } from "./cut-frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { JsonWriter } from "./json-writer.ts";
import { keyDiffers, RowEvents } from "./row-events.ts";
import { type PoisonRow, Sequencer } from "./sequencer.ts";
import { type Relation, Table } from "./table.ts";
import type { RulesOf } from "./table-rules.ts";
import { Tuple } from "./tuple.ts";

export interface DecoderOptions {
  readonly source: SourceId;
  readonly history: number;
  /** Where the stream ends. */
  readonly from: Position;
  /** Undefined for a table that is not read. */
  readonly rulesOf: RulesOf;
}

const POSTGRES_EPOCH_US = 946_684_800_000_000;

const tag = (letter: string): number => letter.charCodeAt(0);
const XLOG = tag("w");
const KEEPALIVE = tag("k");
const BEGIN = tag("B");
const COMMIT = tag("C");
const RELATION = tag("R");
const TYPE = tag("Y");
const ORIGIN = tag("O");
const MESSAGE = tag("M");
const INSERT = tag("I");
const UPDATE = tag("U");
const DELETE = tag("D");
const TRUNCATE = tag("T");
const NEW = tag("N");
const KEY = tag("K");
const OLD = tag("O");

interface KnownTable {
  /** The Relation message, to know an unchanged one by. */
  readonly raw: Buffer;
  readonly description: TableDescription;
  /** Undefined when the table is in the publication but not read. */
  readonly table: Table | undefined;
}

export class Decoder {
  readonly sequencer: Sequencer;
  readonly #source: SourceId;
  readonly #rulesOf: RulesOf;
  readonly #reader = new FrameReader();
  readonly #events = new RowEvents(new JsonWriter());
  readonly #before = new Tuple();
  readonly #after = new Tuple();
  readonly #tables = new Map<number, KnownTable>();
  readonly #domains = new Map<number, string>();
  #relationRaw: Buffer = Buffer.alloc(0);

  constructor({ source, history, from, rulesOf }: DecoderOptions) {
    this.#source = source;
    this.#rulesOf = rulesOf;
    this.sequencer = new Sequencer(source, history, from);
  }

  /**
   * Decodes one frame. A row that cannot be decoded becomes poison in its place.
   * @returns a table that the catalog must describe: `define` it before the next frame
   * @throws BugError when the log is not what the protocol says: nothing behind it can be trusted
   */
  decode(bytes: Buffer, from: number, end: number): Relation | undefined {
    const reader = this.#reader;
    reader.reset(bytes, from, end);
    try {
      const kind = reader.uint8();
      const high = reader.uint32();
      const low = reader.uint32();
      if (kind === KEEPALIVE) {
        if (!this.sequencer.inTransaction) this.sequencer.advance(high, low);
        return undefined;
      }
      reader.skip(16);
      if (kind !== XLOG) {
        this.#cut(kind, reader.uint8(), high, low);
        return undefined;
      }
      return this.#message(reader.uint8(), high, low);
    } catch (error) {
      if (error instanceof BugError) throw error;
      throw new BugError("PROTOCOL_MALFORMED", "a frame that is no row cannot be read", { cause: error });
    }
  }

  /** Compiles a table; one that is as it was stays compiled. @throws ConfigError TABLE_KEY_HIDDEN */
  define(relation: Relation, description: TableDescription): void {
    const known = this.#tables.get(relation.oid);
    if (known?.raw.equals(this.#relationRaw) === true && isDeepStrictEqual(known.description, description)) return;
    const rules = this.#rulesOf(relation.namespace, relation.name);
    const table = rules === undefined ? undefined : new Table(this.#source, relation, description, rules);
    this.#tables.set(relation.oid, { raw: this.#relationRaw, description, table });
  }

  #message(kind: number, high: number, low: number): Relation | undefined {
    switch (kind) {
      case INSERT:
      case UPDATE:
      case DELETE:
        this.#row(kind, high, low);
        return undefined;
      case BEGIN:
        this.#begin();
        return undefined;
      case COMMIT: {
        this.#reader.skip(9);
        this.sequencer.commit(this.#reader.uint32(), this.#reader.uint32());
        return undefined;
      }
      case RELATION:
        return this.#relation();
      case TRUNCATE:
        this.#truncate(high, low);
        return undefined;
      case TYPE:
        this.#type();
        return undefined;
      case ORIGIN:
      case MESSAGE:
        return undefined;
      default:
        throw new BugError("PROTOCOL_UNKNOWN", `a message of the unknown kind ${kind}`);
    }
  }

  #begin(): void {
    const reader = this.#reader;
    const high = reader.uint32();
    const low = reader.uint32();
    const time = commitTime(reader.uint32(), reader.uint32());
    this.sequencer.begin(high, low, { id: String(reader.uint32()), time });
  }

  #type(): void {
    const oid = this.#reader.uint32();
    // An empty name means pg_catalog: a domain over a built-in type, for other built-in types are not announced.
    if (this.#reader.text() === "") this.#domains.set(oid, this.#reader.text());
  }

  #relation(): Relation | undefined {
    const reader = this.#reader;
    this.#relationRaw = Buffer.from(reader.bytes.subarray(reader.at, reader.end));
    const oid = reader.uint32();
    const namespace = reader.text() || "pg_catalog";
    const name = reader.text();
    const identity = String.fromCharCode(reader.uint8());
    const columns = Array.from({ length: reader.uint16() }, () => {
      const flags = reader.uint8();
      const column = reader.text();
      const type = reader.uint32();
      const typmod = reader.uint32() | 0;
      return { name: column, identity: (flags & 1) === 1, type, typmod, typeName: this.#domains.get(type) };
    });
    const relation = { oid, namespace, name, identity, columns };
    if (this.#rulesOf(namespace, name) !== undefined) return relation;
    this.#tables.set(oid, { raw: this.#relationRaw, description: unknownTable, table: undefined });
    return undefined;
  }

  #row(kind: number, high: number, low: number): void {
    const table = this.#table(this.#reader.uint32());
    if (table === undefined) return;
    const position = this.sequencer.next(high, low);
    try {
      if (kind === INSERT) this.#insert(table, position);
      else if (kind === UPDATE) this.#update(table, position, high, low);
      else this.#delete(table, position);
    } catch (error) {
      if (error instanceof BugError) throw error;
      this.sequencer.push(position, this.#poison(table, error));
    }
  }

  /** Too large to be held: the beginning tells the table. */
  #cut(frame: number, kind: number, high: number, low: number): void {
    if (frame !== CUT) throw new BugError("PROTOCOL_UNKNOWN", `a frame of the unknown kind ${frame}`);
    if (kind === MESSAGE) return;
    if (kind !== INSERT && kind !== UPDATE && kind !== DELETE)
      throw new BugError("PROTOCOL_MALFORMED", `a message of the kind ${kind} that is larger than maxRowBytes`);
    const table = this.#table(this.#reader.uint32());
    if (table === undefined) return;
    const { bytes, from, end } = this.#reader;
    const kept = keptOfCut(bytes, from, end);
    this.sequencer.push(this.sequencer.next(high, low), poisonRow(table, kept, tooLarge(kept.sizeBytes)));
  }

  #insert(table: Table, position: string): void {
    this.#tuple(NEW, table, this.#after);
    this.sequencer.push(position, this.#events.created(table, this.#reader, this.#after));
  }

  #update(table: Table, position: string, high: number, low: number): void {
    const reader = this.#reader;
    const kind = reader.uint8();
    const before = kind === NEW ? undefined : this.#before;
    if (before !== undefined) {
      this.#oldTuple(kind, table);
      this.#tuple(NEW, table, this.#after);
    } else {
      this.#after.read(reader, table.columnCount);
    }
    if (before === undefined || !keyDiffers(table, reader, before, this.#after)) {
      this.sequencer.push(position, this.#events.updated(table, reader, before, this.#after));
      return;
    }
    const deleted = this.#events.deleted(table, reader, before, this.#after);
    const created = this.#events.moved(table, reader, before, this.#after);
    this.sequencer.push(position, deleted);
    this.sequencer.push(this.sequencer.next(high, low), created);
  }

  #delete(table: Table, position: string): void {
    this.#oldTuple(this.#reader.uint8(), table);
    this.sequencer.push(position, this.#events.deleted(table, this.#reader, this.#before, undefined));
  }

  #oldTuple(kind: number, table: Table): void {
    if (kind !== KEY && kind !== OLD) throw this.#reader.malformed("an old row is neither whole nor a key");
    this.#before.read(this.#reader, table.columnCount);
  }

  #tuple(expected: number, table: Table, tuple: Tuple): void {
    if (this.#reader.uint8() !== expected) throw this.#reader.malformed("a row has no new values");
    tuple.read(this.#reader, table.columnCount);
  }

  #truncate(high: number, low: number): void {
    const count = this.#reader.uint32();
    this.#reader.skip(1);
    for (let nth = 0; nth < count; nth++) {
      const table = this.#table(this.#reader.uint32());
      if (table !== undefined) this.sequencer.push(this.sequencer.next(high, low), this.#events.truncated(table));
    }
  }

  #table(oid: number): Table | undefined {
    const known = this.#tables.get(oid);
    if (known === undefined) throw new BugError("RELATION_UNKNOWN", `the log never described relation ${oid}`);
    return known.table;
  }

  #poison(table: Table, error: unknown): PoisonRow {
    const { bytes, from, end } = this.#reader;
    // The cause is left out: a parser's message may quote the row.
    return poisonRow(
      table,
      keptOf(bytes, from, end),
      error instanceof PoisonError ? error : undecodable(toError(error).name),
    );
  }
}

function poisonRow({ namespace, collection, hides }: Table, kept: KeptBytes, error: PoisonError): PoisonRow {
  // What must not leave must not leave here; the bare hash of one of few possible values would tell it.
  const shown = hides ? { ...kept, raw: new Uint8Array(), sha256: undefined } : kept;
  return { namespace, collection, ...shown, error };
}

function tooLarge(bytes: number): PoisonError {
  return new PoisonError("ROW_TOO_LARGE", `a row of ${bytes} bytes is larger than the source's maxRowBytes`, {
    hint: "raise maxRowBytes of the source (the worker holds a few such rows in memory), or leave the wide column out",
  });
}

function undecodable(what: string): PoisonError {
  return new PoisonError("ROW_UNDECODABLE", `a row cannot be decoded: ${what}`);
}

/** Microseconds since 2000 as RFC 3339. */
function commitTime(high: number, low: number): string {
  const us = high * 0x1_0000_0000 + low + POSTGRES_EPOCH_US;
  const text = new Date(Math.floor(us / 1000)).toISOString();
  return `${text.slice(0, -1)}${String(us % 1000).padStart(3, "0")}Z`;
}
