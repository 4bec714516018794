// Raw events of a change stream -> what the worker hands to the bus: changes and DDL markers at their places, whole transactions.

import { createHash } from "node:crypto";
import { PoisonError } from "../../../errors.ts";
import type { JsonWriter } from "../../../event/json-writer.ts";
import { percentEncode } from "../../../event/percent-encode.ts";
import type { Position } from "../../../event/position.ts";
import type { Change, ChangeKind, Domain, Transaction, Unplaced } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Op } from "../../../event/subject.ts";
import type { Commit, SourceMessage } from "../../source.ts";
import { type ClusterTime, formatPosition, isEarlier, type Place } from "../client/position.ts";
import { tokenText } from "../client/resume-token.ts";
import { malformed, Type } from "../values/bson.ts";
import { type Encoding, writeDocument } from "../values/bson-json.ts";
import { type Images, type Missing, writeBody } from "./event-body.ts";
import { keyOf } from "./key.ts";
import { outboxEvent } from "./outbox-document.ts";
import { type PoisonEvent, poisonEvent } from "./poison-event.ts";
import { documentIn, Fragments, membersIn, membersOf, type RawEvent, textIn, timestampIn } from "./raw-event.ts";

export interface EventDecoderOptions {
  readonly source: SourceId;
  readonly writer: JsonWriter;
  readonly encoding: Encoding;
  readonly images: Images;
  /** Whether events of this collection are read. */
  readonly reads: (database: string, collection: string) => boolean;
  /** Called for each image that was asked for and is not there. */
  readonly onMissing?: ((what: Missing) => void) | undefined;
  /** Whether what is inserted into it are domain events; what else happens to such a collection is passed over. Default: none is. */
  readonly isOutbox?: (database: string, collection: string) => boolean;
  /** What the stream holds already, or where it is opened. */
  readonly from: Place;
}

const ops: Readonly<Record<string, Op>> = {
  insert: "created",
  update: "updated",
  replace: "updated",
  delete: "deleted",
};

/** What waits for its transaction's end: only what follows tells whether it was the last. */
interface Held {
  readonly group: string;
  readonly time: ClusterTime;
  readonly place: Place;
  readonly make: (position: Position) => SourceMessage;
}

export class EventDecoder {
  readonly #options: EventDecoderOptions;
  readonly #fragments = new Fragments();
  readonly #kinds = new Map<string, ChangeKind>();
  #place: Place;
  #held: Held | undefined;
  #transaction: (Transaction & { readonly group: string }) | undefined;

  constructor(options: EventDecoderOptions) {
    this.#options = options;
    this.#place = options.from;
  }

  /** The place of the newest event that was given. */
  get place(): Place {
    return this.#place;
  }

  /** Whether a transaction's last event waits for what follows. */
  get waits(): boolean {
    return this.#held !== undefined;
  }

  /** What one raw event makes; its transaction's last event comes with the one behind it, or with `settle`. */
  decode(raw: Buffer): readonly SourceMessage[] {
    const event = this.#fragments.add(membersOf(raw));
    if (event === undefined) return [];
    const token = documentIn(event, "_id");
    const time = timestampIn(event, "clusterTime");
    if (token === undefined || time === undefined) throw malformed("an event has no token or no cluster time");
    const place = this.#next(time, tokenText(token));
    this.#place = place;
    const kind = textIn(event, "operationType") ?? "";
    const op = ops[kind];
    const names = membersIn(event, "ns");
    const [database, collection] = [textIn(names, "db") ?? "", textIn(names, "coll")];
    if (op === undefined) return this.#definition(event, kind, database, collection, place);
    if (collection === undefined || !this.#isRead(database, collection, kind)) return this.#passed(place);
    return this.#change(event, op, kind, { database, collection, raw }, place);
  }

  /** Ends what waits: nothing more of its transaction can come. */
  settle(): readonly SourceMessage[] {
    const held = this.#held;
    if (held === undefined) return [];
    this.#held = undefined;
    return [held.make(formatPosition(held.place, true))];
  }

  /**
   * A place behind all events that were given, where nothing happened; none inside of a transaction or a split event.
   * @param token of the post-batch
   * @param upTo all before this time was given: what comes at it is numbered as if this place were not there
   */
  idle(token: Buffer, upTo: ClusterTime | undefined): readonly SourceMessage[] {
    const last = this.#place;
    const text = tokenText(token);
    const rises = upTo !== undefined && isEarlier(last.time, upTo);
    if (this.#held !== undefined || this.#fragments.isOpen || (text === last.token && !rises)) return [];
    this.#place = rises
      ? { ...last, time: upTo, ordinal: 0, idle: 1, token: text }
      : { ...last, idle: last.idle + 1, token: text };
    return [{ type: "commit", position: formatPosition(this.#place, true) }];
  }

  /** Positions never fall, whatever the server says of its times. */
  #next(time: ClusterTime, token: string): Place {
    const last = this.#place;
    const rises = isEarlier(last.time, time);
    return {
      history: last.history,
      time: rises ? time : last.time,
      ordinal: rises ? 1 : last.ordinal + 1,
      idle: 0,
      token,
    };
  }

  /** An event that is not read is a place all the same, where it stands outside of a transaction that is read. */
  #passed(place: Place): readonly SourceMessage[] {
    if (this.#held !== undefined) return [];
    const commit: Commit = { type: "commit", position: formatPosition(place, true) };
    return [commit];
  }

  /** Of the outbox what was put into it: what else happens to it is nobody's news. */
  #isRead(database: string, collection: string, kind: string): boolean {
    const { reads, isOutbox } = this.#options;
    return isOutbox?.(database, collection) ? kind === "insert" : reads(database, collection);
  }

  #change(
    event: RawEvent,
    op: Op,
    kind: string,
    from: { readonly database: string; readonly collection: string; readonly raw: Buffer },
    place: Place,
  ): readonly SourceMessage[] {
    const transaction = this.#transactionOf(event, place.time);
    const { lineage, ...made } = this.#made(event, op, kind, from, place);
    const caused = lineage === undefined ? transaction : { ...transaction, lineage };
    const make = (position: Position): SourceMessage => ({ ...made, transaction: caused, position });
    const before = this.#release(transaction.group);
    if (transaction.group === undefined) return [...before, make(formatPosition(place, true))];
    this.#held = { group: transaction.group, time: place.time, place, make };
    return before;
  }

  /** A change or an event of the outbox, or what stands for one that can never be written. */
  #made(
    event: RawEvent,
    op: Op,
    kind: string,
    { database, collection, raw }: { readonly database: string; readonly collection: string; readonly raw: Buffer },
    place: Place,
  ): (Unplaced<Change> | Unplaced<Domain> | PoisonEvent) & Partial<Pick<Transaction, "lineage">> {
    const { source, writer, encoding, isOutbox } = this.#options;
    try {
      if (isOutbox?.(database, collection)) return outboxEvent(event, this.#options);
      const id = membersIn(event, "documentKey").get("_id");
      if (id === undefined) throw malformed("a change has no document key");
      const key = keyOf(writer, encoding, id);
      const data = writeBody({ op, kind, key, event }, this.#options);
      const shared = this.#kindOf(database, collection, op);
      return { type: "change", kind: shared, lane: key.lane, key: key.subject, id: eventId(source, place), data };
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      return poisonEvent(database, collection, raw, error);
    }
  }

  /** What was held, by whether the same transaction goes on. */
  #release(group: string | undefined): readonly SourceMessage[] {
    const held = this.#held;
    if (held === undefined) return [];
    if (held.group !== group) return this.settle();
    this.#held = undefined;
    return [held.make(formatPosition(held.place, false))];
  }

  #transactionOf(event: RawEvent, time: ClusterTime): Transaction & { readonly group: string | undefined } {
    const commit = commitTime(event, time);
    const session = membersIn(event, "lsid").get("id");
    const number = event.get("txnNumber");
    if (session?.type !== Type.binary || number?.type !== Type.int64) {
      return { id: undefined, time: commit, lineage: undefined, group: undefined };
    }
    const id = `${session.bytes.toString("hex", session.from + 5, session.to)}:${number.bytes.readBigInt64LE(number.from)}`;
    const group = `${id}@${time.t}.${time.i}`;
    if (this.#transaction?.group !== group) this.#transaction = { id, time: commit, lineage: undefined, group };
    return this.#transaction;
  }

  #kindOf(namespace: string, collection: string, op: Op): ChangeKind {
    const name = `${op} ${namespace}.${collection}`;
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = { namespace, collection, op, version: undefined, place: placeOf(namespace, collection) };
      this.#kinds.set(name, kind);
    }
    return kind;
  }

  /** Everything that is no change of a document, known or not, in its place. */
  #definition(
    event: RawEvent,
    operationType: string,
    database: string,
    collection: string | undefined,
    place: Place,
  ): readonly SourceMessage[] {
    const { source } = this.#options;
    const reads = (namespace: string, name: string): boolean =>
      this.#options.reads(namespace, name) || this.#options.isOutbox?.(namespace, name) === true;
    const before = this.settle();
    const target = membersIn(event, "to");
    const [toDatabase, toCollection] = [textIn(target, "db"), textIn(target, "coll")];
    const isOurs =
      collection === undefined ||
      reads(database, collection) ||
      (toCollection !== undefined && reads(toDatabase ?? database, toCollection));
    if (!isOurs) return [...before, ...this.#passed(place)];
    const body = {
      operationType,
      namespace: database === "" ? undefined : database,
      collection,
      to: toCollection === undefined ? undefined : { namespace: toDatabase, collection: toCollection },
      operationDescription: this.#described(event),
    };
    return [
      ...before,
      {
        type: "marker",
        kind: "ddl",
        id: eventId(source, place),
        transaction: undefined,
        time: commitTime(event, place.time),
        position: formatPosition(place, true),
        data: Buffer.from(JSON.stringify(body)),
      },
    ];
  }

  #described(event: RawEvent): unknown {
    const description = documentIn(event, "operationDescription");
    if (description === undefined) return undefined;
    const { writer, encoding } = this.#options;
    writer.reserve(0);
    const start = writer.at;
    writeDocument(writer, encoding, description);
    return JSON.parse(writer.bytes.toString("utf8", start, writer.at));
  }
}

/** A collection's name may hold dots, which a database's never does, so only what divides it from the key is escaped. */
function placeOf(database: string, collection: string): string {
  const name = collection.replace(/[~/]/g, (letter) => (letter === "~" ? "~7E" : "~2F"));
  return percentEncode(`${database}.${name}`);
}

/** RFC 3339: when it was written, else the cluster's time, which knows seconds. */
function commitTime(event: RawEvent, { t }: ClusterTime): string {
  const wall = event.get("wallTime");
  const milliseconds = wall?.type === Type.date ? Number(wall.bytes.readBigInt64LE(wall.from)) : t * 1000;
  return new Date(milliseconds).toISOString();
}

/** The same for the same change however often it is read: the token alone is its own. */
function eventId(source: SourceId, { history, token = "" }: Place): string {
  const hash = createHash("sha256").update(token).digest("base64url").slice(0, 27);
  return `${source}.${history.toString(16).padStart(4, "0")}.${hash}`;
}
