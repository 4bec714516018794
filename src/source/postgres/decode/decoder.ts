// Decodes pgoutput (protocol version 1): the frames of the log to events, keepalives and commits to places to rest at.

import { BugError, type PoisonError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { CompositeStates } from "../client/composite-states.ts";
import type { OutboxConfig } from "../options/config.ts";
import type { RuleBook } from "../options/rule-book.ts";
import { CUT, keptOfCut } from "../replication/cut-frame.ts";
import { type Definition, type DescribedTable, DescribedTables } from "./described-tables.ts";
import { ServerText, UNCONVERTIBLE } from "./encoding/server-text.ts";
import { FrameReader, timeText } from "./frame-reader.ts";
import { type LogicalMessageOptions, LogicalMessages } from "./logical-messages.ts";
import type { OutboxTable } from "./outbox-table.ts";
import {
  BEGIN,
  COMMIT,
  DELETE,
  INSERT,
  KEEPALIVE,
  MESSAGE,
  ORIGIN,
  RELATION,
  TRUNCATE,
  TYPE,
  UPDATE,
  XLOG,
} from "./pgoutput-tags.ts";
import { poisonRow, textUndefined, tooLarge } from "./poison-row.ts";
import { RowDecoder } from "./row-decoder.ts";
import type { RowEvent } from "./row-events.ts";
import { type PoisonRow, Sequencer } from "./sequencer.ts";
import type { Relation, Table } from "./table.ts";
import type { Tuple } from "./tuple.ts";

export interface DecoderOptions extends Pick<LogicalMessageOptions, "lineageKey" | "onUnreadMessage"> {
  readonly source: SourceId;
  readonly history: number;
  /** Where the stream ends. */
  readonly from: Position;
  /** Which tables are read, and what of them. */
  readonly rules: RuleBook;
  /** Prefixes of the logical messages that become events. */
  readonly messages: readonly string[];
  readonly outbox: OutboxConfig | undefined;
  /** The database's encoding. */
  readonly encoding?: string;
  /** Undefined where no catalog is asked. */
  readonly composites?: CompositeStates | undefined;
}

/** A table that the catalog must describe. */
export interface Question {
  readonly relation: Relation;
  /** Where the change stands for which it is asked: decode its frame again. Undefined when the log has just named the table. */
  readonly at: bigint | undefined;
}

export class Decoder {
  readonly sequencer: Sequencer;
  readonly #reader = new FrameReader();
  readonly #rows: RowDecoder;
  readonly #messages: LogicalMessages;
  readonly #tables: DescribedTables;
  readonly #composites: CompositeStates | undefined;
  /** Undefined where texts come as UTF-8. */
  readonly #text: ServerText | undefined;
  /** Tables whose next event is the first one of their version; undefined where there is none. */
  #undescribed: { readonly table: Table; readonly position: Position | undefined }[] | undefined;
  /** The row of an outbox that was deleted last, and may only have moved. */
  #left: string | undefined;

  constructor(options: DecoderOptions) {
    const { history, from, rules, messages: prefixes, outbox, encoding = "UTF8" } = options;
    this.#messages = new LogicalMessages({ ...options, prefixes, encoding });
    this.#composites = options.composites;
    this.#text = ServerText.of(encoding);
    this.#tables = new DescribedTables(rules, outbox);
    this.sequencer = new Sequencer(history, from);
    this.#rows = new RowDecoder(this.#reader, (position, event) => this.#push(position, event));
  }

  /**
   * Decodes one frame. A row that cannot be decoded becomes poison in its place.
   * @returns what the catalog must be asked: `define` the table before the next frame
   * @throws BugError when the log is not what the protocol says: nothing behind it can be trusted
   */
  decode(bytes: Buffer, from: number, end: number): Question | undefined {
    const reader = this.#reader;
    reader.reset(bytes, from, end);
    this.#text?.convert(reader);
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
        this.#untold(kind, reader.uint8(), high, low);
        return undefined;
      }
      return this.#message(reader.uint8(), high, low);
    } catch (error) {
      if (error instanceof BugError) throw error;
      throw new BugError("PROTOCOL_MALFORMED", "a frame that is no row cannot be read", { cause: error });
    }
  }

  /** @throws ConfigError TABLE_KEY_HIDDEN */
  define(relation: Relation, definition: Definition): void {
    this.#tables.define(relation, definition);
  }

  #message(kind: number, high: number, low: number): Question | undefined {
    switch (kind) {
      case INSERT:
      case UPDATE:
      case DELETE:
        return this.#row(kind, high, low);
      case BEGIN:
        this.#begin();
        return undefined;
      case COMMIT: {
        this.#reader.skip(9);
        this.sequencer.commit(this.#reader.uint32(), this.#reader.uint32());
        return undefined;
      }
      case RELATION: {
        const relation = this.#tables.readRelation(this.#reader);
        return relation && { relation, at: undefined };
      }
      case TRUNCATE:
        this.#truncate(high, low);
        return undefined;
      case TYPE:
        this.#tables.readType(this.#reader);
        return undefined;
      case MESSAGE:
        this.#logicalMessage(undefined);
        return undefined;
      case ORIGIN:
        return undefined;
      default:
        throw new BugError("PROTOCOL_UNKNOWN", `a message of the unknown kind ${kind}`);
    }
  }

  #begin(): void {
    const reader = this.#reader;
    const high = reader.uint32();
    const low = reader.uint32();
    const time = timeText(reader.uint32(), reader.uint32());
    this.#rows.begin();
    this.sequencer.begin(high, low, { id: String(reader.uint32()), time, lineage: undefined });
  }

  #row(kind: number, high: number, low: number): Question | undefined {
    const described = this.#tables.get(this.#reader.uint32());
    if (described.composites.length > 0) {
      const question = this.#question(described, (BigInt(high) << 32n) | BigInt(low));
      if (question !== undefined) return question;
    }
    const { table, outbox } = described;
    if (outbox !== undefined && kind === INSERT) this.#domainEvent(outbox, high, low);
    if (outbox !== undefined && kind === DELETE)
      this.#left = this.#identity(outbox, this.#rows.deleted(outbox.columnCount));
    if (table === undefined) return undefined;
    this.#undescribed = undefined; // of a row before that became no event
    if (!table.isDescribed) this.#describe(table, high, low, 0);
    const position = this.sequencer.next(high, low);
    try {
      this.#rows.decode(kind, table, position, () => this.sequencer.next(high, low));
    } catch (error) {
      if (error instanceof BugError) throw error;
      this.#push(position, poisonRow(this.#reader, table, error));
    }
    return undefined;
  }

  /** What must be known before a row with attributes is decoded: whether their names are of its time. */
  #question({ relation, composites, isDoubtful }: DescribedTable, at: bigint): Question | undefined {
    const states = this.#composites;
    if (states === undefined || relation === undefined) return undefined;
    const stands = isDoubtful
      ? !states.isCertainAt(composites, at)
      : composites.every((composite) => states.isState(composite, at));
    return stands && states.coversFrame ? undefined : { relation, at };
  }

  #domainEvent(outbox: OutboxTable, high: number, low: number): void {
    const position = this.sequencer.next(high, low);
    try {
      const row = this.#rows.inserted(outbox.columnCount);
      const left = this.#left;
      this.#left = undefined;
      if (left !== undefined && left === this.#identity(outbox, row)) return;
      this.sequencer.push(position, outbox.event(this.#reader, row));
    } catch (error) {
      if (error instanceof BugError) throw error;
      this.sequencer.push(position, poisonRow(this.#reader, outbox, error));
    }
  }

  #identity(outbox: OutboxTable, row: Tuple): string | undefined {
    return outbox.identity(this.#reader, row, this.sequencer.transactionId);
  }

  /** @param tooLarge why its content is not there */
  #logicalMessage(tooLarge: PoisonError | undefined): void {
    const poison = (prefix: string, error: PoisonError): PoisonRow =>
      poisonRow(this.#reader, { namespace: "message", collection: prefix, hides: false }, error);
    this.#messages.decode(this.#reader, this.sequencer, poison, tooLarge);
  }

  /** Too large to be held, or with a byte that is no letter: the beginning tells the table. */
  #untold(frame: number, kind: number, high: number, low: number): void {
    if (frame !== CUT && frame !== UNCONVERTIBLE)
      throw new BugError("PROTOCOL_UNKNOWN", `a frame of the unknown kind ${frame}`);
    const { bytes, from, end } = this.#reader;
    const error = frame === CUT ? tooLarge(keptOfCut(bytes, from, end).sizeBytes) : textUndefined();
    if (kind === MESSAGE) {
      this.#logicalMessage(error);
      return;
    }
    if (kind !== INSERT && kind !== UPDATE && kind !== DELETE)
      throw new BugError("PROTOCOL_MALFORMED", `a message of the kind ${kind} that is larger than maxRowBytes`);
    const { table, outbox } = this.#tables.get(this.#reader.uint32());
    const place = table ?? (kind === INSERT ? outbox : undefined);
    if (place !== undefined) this.sequencer.push(this.sequencer.next(high, low), poisonRow(this.#reader, place, error));
  }

  #truncate(high: number, low: number): void {
    const count = this.#reader.uint32();
    this.#reader.skip(1);
    const tables = Array.from({ length: count }, () => this.#tables.get(this.#reader.uint32()).table).filter(
      (table) => table !== undefined,
    );
    this.#undescribed = undefined;
    for (const [nth, table] of tables.entries()) if (!table.isDescribed) this.#describe(table, high, low, nth);
    for (const table of tables) this.#push(this.sequencer.next(high, low), this.#rows.truncated(table));
  }

  /** Where the stream has the place already, the version is handed out without one: it has its place before a later row. */
  #describe(table: Table, high: number, low: number, nth: number): void {
    const position = this.sequencer.descriptionAt(high, low, nth);
    if (position === undefined && table.isNamed) return;
    this.#undescribed ??= [];
    this.#undescribed.push({ table, position });
  }

  #push(position: string, event: RowEvent | PoisonRow): void {
    const isNew = this.sequencer.push(position, event);
    if (this.#undescribed === undefined || !isNew) return;
    for (const { table, position: place } of this.#undescribed) {
      if (table.version !== undefined) this.sequencer.describe(table.version, place);
      table.isNamed = true;
      table.isDescribed = place !== undefined;
    }
    this.#undescribed = undefined;
  }
}
