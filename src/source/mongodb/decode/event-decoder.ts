// Raw events of a change stream -> what the worker hands to the bus: changes and DDL markers at their places, whole transactions.

import { hash } from "node:crypto";
import { PoisonError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { Transaction } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { JsonWriter } from "../../json-writer.ts";
import type { SourceMessage } from "../../source.ts";
import { type ClusterTime, formatPosition, isEarlier, type Place } from "../client/position.ts";
import { tokenText } from "../client/resume-token.ts";
import { malformed, Type } from "../values/bson.ts";
import { type Encoding, writeDocument } from "../values/bson-json.ts";
import { safeInt64 } from "../values/write-scalar.ts";
import { BodyWriter, type Images, type Missing } from "./event-body.ts";
import { subjectOf } from "./key.ts";
import { type ChangeOp, type Namespace, Namespaces } from "./namespaces.ts";
import { outboxEvent } from "./outbox-document.ts";
import { type Oversize, poisonEvent } from "./poison-event.ts";
import { documentAt, EventReader, membersIn, textIn, timestampIn } from "./raw-event.ts";

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

const ops: Readonly<Record<string, ChangeOp>> = {
  insert: "created",
  update: "updated",
  replace: "updated",
  delete: "deleted",
};

/** What waits for its transaction's end: only what follows tells whether it was the last. */
interface Held {
  readonly group: string;
  readonly place: Place;
  /** At its place, as if more of its transaction followed. */
  readonly message: SourceMessage;
}

/** What all events of a transaction share, and what tells them from those of another one. */
interface Grouped extends Transaction {
  /** Undefined outside of all transactions. */
  readonly group: string | undefined;
}

export class EventDecoder {
  readonly #options: EventDecoderOptions;
  readonly #event = new EventReader();
  readonly #body: BodyWriter;
  readonly #namespaces: Namespaces;
  readonly #idStart: string;
  #place: Place;
  /** Why the event in hand lacks what makes it large. */
  #oversize: Oversize | undefined;
  #held: Held | undefined;
  #transaction: Grouped | undefined;
  #time = { ms: Number.NaN, text: "" };

  constructor(options: EventDecoderOptions) {
    const { source, from } = options;
    this.#options = options;
    this.#body = new BodyWriter(options);
    this.#namespaces = new Namespaces(options);
    this.#idStart = `${source}.${from.history.toString(16).padStart(4, "0")}.`;
    this.#place = from;
  }

  /** The place of the newest event that was given. */
  get place(): Place {
    return this.#place;
  }

  /** Whether a transaction's last event waits for what follows. */
  get waits(): boolean {
    return this.#held !== undefined;
  }

  /**
   * What one raw event makes; its transaction's last event comes with the one behind it, or with `settle`.
   * @param into gets it
   */
  decode(raw: Buffer, into: SourceMessage[] = []): SourceMessage[] {
    const event = this.#event;
    if (!event.take(raw)) return into;
    const token = documentAt(event, "_id");
    const time = timestampIn(event, "clusterTime");
    if (token === undefined || time === undefined) throw malformed("an event has no token or no cluster time");
    const place = this.#next(time, tokenText(token.bytes, token.from, token.to));
    this.#place = place;
    const kind = textIn(event, "operationType") ?? "";
    const op = ops[kind];
    const namespace = this.#namespaces.of(event);
    if (op === undefined) this.#definition(kind, namespace, place, into);
    else if (namespace.isOutbox ? kind === "insert" : namespace.isRead)
      this.#change(op, kind, namespace, raw, place, into);
    else this.#passed(place, into);
    return into;
  }

  /** What can be had of an event that the server cannot send: poison in its place. */
  putAside(bare: Buffer, oversize: Oversize): SourceMessage[] {
    this.#oversize = oversize;
    const messages = this.decode(bare);
    this.#oversize = undefined;
    return messages;
  }

  /** Ends what waits: nothing more of its transaction can come. @param into gets it */
  settle(into: SourceMessage[] = []): SourceMessage[] {
    const held = this.#held;
    if (held === undefined) return into;
    this.#held = undefined;
    into.push({ ...held.message, position: formatPosition(held.place, true) });
    return into;
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
    if (this.#held !== undefined || this.#event.isOpen || (text === last.token && !rises)) return [];
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
  #passed(place: Place, into: SourceMessage[]): void {
    if (this.#held === undefined) into.push({ type: "commit", position: formatPosition(place, true) });
  }

  #change(op: ChangeOp, kind: string, namespace: Namespace, raw: Buffer, place: Place, into: SourceMessage[]): void {
    const transaction = this.#transactionOf(place.time);
    const { group } = transaction;
    const position = formatPosition(place, group === undefined);
    const message = this.#made(op, kind, namespace, raw, place, transaction, position);
    this.#release(group, into);
    if (group === undefined) into.push(message);
    else this.#held = { group, place, message };
  }

  /** A change or an event of the outbox, or what stands for one that can never be written. */
  #made(
    op: ChangeOp,
    kind: string,
    namespace: Namespace,
    raw: Buffer,
    place: Place,
    transaction: Transaction,
    position: Position,
  ): SourceMessage {
    const body = this.#body;
    const poison = (why: Parameters<typeof poisonEvent>[3]): SourceMessage => {
      const { database, collection = "" } = namespace;
      return { ...poisonEvent(database, collection, raw, why), transaction, position };
    };
    if (this.#oversize !== undefined) return poison(this.#oversize);
    try {
      if (namespace.isOutbox) {
        const { lineage, ...said } = outboxEvent(this.#event, this.#options);
        return { ...said, transaction: lineage === undefined ? transaction : { ...transaction, lineage }, position };
      }
      const data = body.write({ op, kind, event: this.#event });
      const key = subjectOf(this.#options.writer, body.id);
      const id = this.#idOf(place);
      return { type: "change", kind: namespace.kinds[op], lane: body.lane, key, id, transaction, position, data };
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      return poison({ error });
    }
  }

  /** What was held, by whether the same transaction goes on. */
  #release(group: string | undefined, into: SourceMessage[]): void {
    const held = this.#held;
    if (held === undefined) return;
    if (held.group !== group) {
      this.settle(into);
      return;
    }
    this.#held = undefined;
    into.push(held.message);
  }

  /** The same object for events that follow each other and share all of it: what is made of it is made once. */
  #transactionOf({ t, i }: ClusterTime): Grouped {
    const event = this.#event;
    const time = this.#commitTime(t);
    const last = this.#transaction;
    const session = membersIn(event, "lsid").get("id");
    const number = event.get("txnNumber");
    let next: Grouped;
    if (session?.type !== Type.binary || number?.type !== Type.int64) {
      if (last?.time === time && last.group === undefined) return last;
      next = { id: undefined, time, lineage: undefined, group: undefined };
    } else {
      const id = `${session.bytes.toString("hex", session.from + 5, session.to)}:${number.bytes.readBigInt64LE(number.from)}`;
      const group = `${id}@${t}.${i}`;
      if (last?.group === group) return last;
      next = { id, time, lineage: undefined, group };
    }
    this.#transaction = next;
    return next;
  }

  /** Everything that is no change of a document, known or not, in its place. */
  #definition(
    operationType: string,
    { database, collection, isRead, isOutbox }: Namespace,
    place: Place,
    into: SourceMessage[],
  ): void {
    this.settle(into);
    const target = membersIn(this.#event, "to");
    const [toDatabase, toCollection] = [textIn(target, "db"), textIn(target, "coll")];
    const isOurs =
      collection === undefined ||
      isRead ||
      isOutbox ||
      (toCollection !== undefined && this.#namespaces.has(toDatabase ?? database, toCollection));
    if (!isOurs) {
      this.#passed(place, into);
      return;
    }
    const body = {
      operationType,
      namespace: database === "" ? undefined : database,
      collection,
      to: toCollection === undefined ? undefined : { namespace: toDatabase, collection: toCollection },
      operationDescription: this.#described(),
    };
    into.push({
      type: "marker",
      kind: "ddl",
      id: this.#idOf(place),
      transaction: undefined,
      time: this.#commitTime(place.time.t),
      position: formatPosition(place, true),
      data: Buffer.from(JSON.stringify(body)),
    });
  }

  #described(): unknown {
    const description = documentAt(this.#event, "operationDescription");
    if (description === undefined) return undefined;
    const { writer, encoding } = this.#options;
    writer.reserve(0);
    const start = writer.at;
    writeDocument(writer, encoding, description.bytes, description.from, description.to);
    return JSON.parse(writer.bytes.toString("utf8", start, writer.at));
  }

  /** RFC 3339: when it was written, else the cluster's time, which knows seconds. */
  #commitTime(seconds: number): string {
    const wall = this.#event.get("wallTime");
    const ms = (wall?.type === Type.date ? safeInt64(wall.bytes, wall.from) : undefined) ?? seconds * 1000;
    if (this.#time.ms !== ms) this.#time = { ms, text: new Date(ms).toISOString() };
    return this.#time.text;
  }

  /** The same for the same change however often it is read: the token alone is its own. */
  #idOf({ token = "" }: Place): string {
    return this.#idStart + hash("sha256", token, "base64url").slice(0, 27);
  }
}
