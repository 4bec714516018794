// The one place where an event becomes a message, whether a source's or the worker's own: its subject and its header lines.

import { hash } from "node:crypto";
import { collectionPlace } from "../event/collection-place.ts";
import { lineageLines } from "../event/lineage.ts";
import type { StreamMessage } from "../event/message.ts";
import { percentEncode } from "../event/percent.ts";
import { bare, isComplete, type Position } from "../event/position.ts";
import type { Place } from "../event/positions.ts";
import type { Change, ChangeKind, CopiedRow, Domain, Marker, SourceEvent, Transaction } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import {
  changeSubjectPrefix,
  domainSubjectPrefix,
  logicalMessageSubject,
  type MetaKind,
  metaSubject,
} from "../event/subject.ts";
import { traceParent } from "../event/trace-parent.ts";
import type { WorkerEvent } from "../event/worker-event.ts";

/** What the changes of one kind share: made once, filled in for each row. */
interface Template {
  readonly subjectPrefix: string;
  /** One string for all changes of a lane. */
  readonly subjects: Map<string, string>;
  /** Lines up to and without the key in `ce-subject`. */
  readonly head: string;
}

/** Encodes the events of one source. The hot path: nothing is made for a row that its kind or its transaction has already. */
export class EventEncoder {
  readonly #source: SourceId;
  readonly #templates = new WeakMap<ChangeKind, Template>();
  #kind: ChangeKind | undefined;
  #template: Template | undefined;
  #transaction: Transaction | undefined;
  #transactionLines = "";

  constructor(source: SourceId) {
    this.#source = source;
  }

  encode(event: SourceEvent): StreamMessage {
    if (event.type === "change") return this.#change(event);
    return event.type === "domain" ? this.#domain(event) : this.#marker(event);
  }

  #change({ kind, lane, key, transaction, partition, position, data, id: given }: Change): StreamMessage {
    const template = this.#templateOf(kind);
    let subject = template.subjects.get(lane);
    if (subject === undefined) {
      subject = template.subjectPrefix + lane;
      template.subjects.set(lane, subject);
    }
    const id = given ?? `${this.#source}.${bare(position)}`;
    const lines = this.#linesOf(transaction) + lastLine(transaction, position) + partitionLine(partition);
    const head = `${template.head}${key}\r\nce-id: ${id}\r\n${lines}`;
    const committedAt = transaction.time;
    const rest = { ref: undefined, committedAt, partition, position };
    return traced({ type: "message", subject, id, head, data, ...rest }, transaction.lineage?.traceparent);
  }

  /** Once its place is known, where it goes into the stream. */
  copied(
    { kind, backfill, collectionId, lane, key, unkeyed, time, data, again }: CopiedRow,
    { partition, position }: Place,
  ): StreamMessage {
    const template = this.#templateOf(kind);
    const digest = hash("sha256", key, "hex").slice(0, 32);
    const id = `${this.#source}.b${backfill}.${collectionId}.${digest}${again === undefined ? "" : `.${again}`}`;
    const head = `${template.head}${unkeyed === true ? "" : key}\r\nce-id: ${id}\r\nce-time: ${time}\r\n${partitionLine(partition)}`;
    const subject = template.subjectPrefix + lane;
    return { type: "message", subject, id, head, data, ref: undefined, committedAt: undefined, partition, position };
  }

  #domain({ id, aggregate, name, key, lane, headers, transaction, partition, position, data }: Domain): StreamMessage {
    // The id before the headers: they are the application's own, and readers look for the first one.
    let head =
      `ce-specversion: 1.0\r\nce-source: /${this.#source}\r\nce-type: ${percentEncode(`${aggregate}.${name}`)}\r\n` +
      `content-type: application/json\r\nce-subject: ${percentEncode(`${aggregate}/${key}`)}\r\nce-id: ${id}\r\n`;
    let own: string | undefined;
    for (const header in headers) {
      head += `${header}: ${percentEncode(headers[header] as string)}\r\n`;
      if (header.toLowerCase() === "traceparent") own = headers[header];
    }
    // What the application says of this one event goes before what its transaction says of all.
    head += own === undefined ? this.#linesOf(transaction) : linesOf(transaction);
    head += lastLine(transaction, position) + partitionLine(partition);
    const subject = domainSubjectPrefix(this.#source, aggregate, name) + lane;
    const committedAt = transaction.time;
    const rest = { ref: undefined, committedAt, partition, position };
    const parent = own === undefined ? transaction.lineage?.traceparent : traceParent(own);
    return traced({ type: "message", subject, id, head, data, ...rest }, parent);
  }

  #marker({ kind, id, transaction, time = transaction?.time, partition, position, data }: Marker): StreamMessage {
    const head = markerHead(this.#source, kind, id, time) + partitionLine(partition);
    const within =
      transaction === undefined
        ? ""
        : idLine(transaction) +
          lineageLines(transaction.lineage) +
          traceLine(transaction) +
          lastLine(transaction, position);
    const subject =
      typeof kind === "string" ? metaSubject(this.#source, kind) : logicalMessageSubject(this.#source, kind.prefix);
    const committedAt = undefined;
    return {
      type: "message",
      subject,
      id,
      head: head + within,
      data,
      ref: undefined,
      committedAt,
      partition,
      position,
    };
  }

  #templateOf(kind: ChangeKind): Template {
    if (kind === this.#kind && this.#template !== undefined) return this.#template;
    let template = this.#templates.get(kind);
    if (template === undefined) {
      template = templateOf(this.#source, kind);
      this.#templates.set(kind, template);
    }
    this.#kind = kind;
    this.#template = template;
    return template;
  }

  #linesOf(transaction: Transaction): string {
    if (transaction !== this.#transaction) {
      this.#transaction = transaction;
      this.#transactionLines = linesOf(transaction) + traceLine(transaction);
    }
    return this.#transactionLines;
  }
}

function templateOf(source: SourceId, kind: ChangeKind): Template {
  const { namespace, collection, op, version, place = collectionPlace(namespace, collection) } = kind;
  const dataschema = version?.uri === undefined ? "" : `ce-dataschema: ${version.uri}\r\n`;
  return {
    subjectPrefix: changeSubjectPrefix(source, namespace, collection, op),
    subjects: new Map(),
    head: `ce-specversion: 1.0\r\nce-source: /${source}\r\nce-type: ${source}.${place}.${op}\r\ncontent-type: application/json\r\n${dataschema}ce-subject: ${place}/`,
  };
}

/** Without the trace. */
function linesOf(transaction: Transaction): string {
  return `ce-time: ${transaction.time}\r\n${idLine(transaction)}${lineageLines(transaction.lineage)}`;
}

function traceLine({ lineage }: Transaction): string {
  return lineage?.traceparent === undefined ? "" : `traceparent: ${lineage.traceparent}\r\n`;
}

/** With what its span continues, where something is known that it does. */
function traced(message: StreamMessage, parent: string | undefined): StreamMessage {
  return parent === undefined ? message : { ...message, trace: { parent, readAt: Date.now() } };
}

function idLine({ id }: Transaction): string {
  return id === undefined ? "" : `Cdc-Tx: ${id}\r\n`;
}

/** Where the database groups nothing, a change stands by itself: its place is complete, and is the last of nothing. */
function lastLine({ id }: Transaction, position: Position): string {
  return id !== undefined && isComplete(position) ? "Cdc-Tx-Last: 1\r\n" : "";
}

/** Says what part of the source's log a position belongs to. */
export function partitionLine(partition: string | undefined): string {
  return partition === undefined ? "" : `Cdc-Part: ${partition}\r\n`;
}

/** The header lines of a marker. @param time RFC 3339; by default now */
export function markerHead(source: SourceId, kind: Marker["kind"], id: string, time?: string): string {
  const name: MetaKind | string = typeof kind === "string" ? kind : `message.${kind.prefix}`;
  return (
    `ce-specversion: 1.0\r\nce-source: /${source}\r\nce-type: ${percentEncode(`${source}.meta.${name}`)}\r\n` +
    `content-type: application/json\r\nce-id: ${id}\r\nce-time: ${time ?? new Date().toISOString()}\r\n`
  );
}

/** What an event that comes from no source's log becomes. */
export function encodeWorkerEvent(event: WorkerEvent): Pick<StreamMessage, "subject" | "id" | "head" | "data"> {
  const { origin, aggregate, name, id, subject, lane, time, data, lineage } = event;
  const head =
    `ce-specversion: 1.0\r\nce-source: /${origin}\r\nce-type: ${percentEncode(`${origin}.${aggregate}.${name}`)}\r\n` +
    `content-type: application/json\r\nce-subject: ${percentEncode(subject)}\r\nce-id: ${percentEncode(id)}\r\nce-time: ${time}\r\n`;
  const caused = lineage === undefined ? "" : lineageLines({ ...lineage, proven: lineage });
  return { subject: domainSubjectPrefix(origin, aggregate, name) + lane, id, head: head + caused, data };
}
