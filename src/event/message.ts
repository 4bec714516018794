// One message on its way into a source's stream: all that is known about it before its place on the bus.

import type { Position } from "./position.ts";
import { bare, isComplete } from "./position.ts";
import type { SourceId } from "./source-id.ts";
import { changeSubjectPrefix, type MetaKind, metaSubject, type Op } from "./subject.ts";

/** Either an event (a row change) or a marker (`meta.…`). One object a row: this is the hot path's unit. */
export interface StreamMessage {
  readonly type: "message";
  readonly subject: string;
  /** Header lines in ISO-8859-1, each ended by CRLF: `ce-*`, `content-type`, `Cdc-Tx`, `Cdc-Tx-Last`. The bus adds the rest. */
  readonly head: string;
  /** Finished JSON text, UTF-8. */
  readonly data: Uint8Array;
  /** `Cdc-Pos`, with its `+`. */
  readonly position: Position;
}

/** The part of a subject and of the headers that all events of one collection and op share. */
export interface EventTemplate {
  readonly subjectPrefix: string;
  /** Lines up to and without the value of `ce-subject`, which is `<namespace>.<collection>/` and the key. */
  readonly head: string;
}

/** Values as the CloudEvents binding wants them: printable ASCII but space, `"` and `%`; all else as UTF-8 bytes `%XX`. */
export function percentEncode(text: string): string {
  if (/^[!#$&-~]*$/.test(text)) return text;
  return text.replace(/[^!#$&-~]+/g, (run) => {
    let encoded = "";
    for (const byte of Buffer.from(run, "utf8")) encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    return encoded;
  });
}

/**
 * `<namespace>.<collection>` for a header: a dot, a slash or a `~` within a name is escaped as in subjects, so that two
 * collections never share it.
 */
export function collectionPlace(namespace: string, collection: string): string {
  return percentEncode(`${placeToken(namespace)}.${placeToken(collection)}`);
}

function placeToken(name: string): string {
  return name.replace(/[./~]/g, (letter) => `~${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Built once for each table version and op; `eventHead` fills it in for a row. @param schema `ce-dataschema` */
export function eventTemplate(
  source: SourceId,
  namespace: string,
  collection: string,
  op: Op,
  schema?: string,
): EventTemplate {
  const place = collectionPlace(namespace, collection);
  const dataschema = schema === undefined ? "" : `ce-dataschema: ${schema}\r\n`;
  return {
    subjectPrefix: changeSubjectPrefix(source, namespace, collection, op),
    head: `ce-specversion: 1.0\r\nce-source: /${source}\r\nce-type: ${source}.${place}.${op}\r\ncontent-type: application/json\r\n${dataschema}ce-subject: ${place}/`,
  };
}

/** A transaction as every event of it carries it. */
export interface Transaction {
  readonly id: string;
  /** Commit time, RFC 3339 in UTC, microseconds. */
  readonly time: string;
  /** Header lines that say what caused it (see `lineageLines`); empty when nobody said. */
  readonly lineage: string;
}

/** An event whose subject and headers come from what was written, not from a table: a domain event, a logical message. */
export interface OwnEvent {
  readonly subject: string;
  /** Header lines, each ended by CRLF, `ce-id` among them; without time and transaction. */
  readonly head: string;
  readonly data: Uint8Array;
}

/**
 * The header lines of one event.
 * @param key the key's values, already percent-encoded
 * @param position without or with its `+`; with it the event is the transaction's last
 */
export function eventHead(
  template: EventTemplate,
  source: SourceId,
  key: string,
  transaction: Transaction,
  position: Position,
): string {
  return `${template.head}${key}\r\nce-id: ${source}.${bare(position)}\r\n${transactionLines(transaction, position)}`;
}

/** What an event says of its transaction. */
export function transactionLines({ id, time, lineage }: Transaction, position: Position): string {
  const last = isComplete(position) ? "Cdc-Tx-Last: 1\r\n" : "";
  return `ce-time: ${time}\r\nCdc-Tx: ${id}\r\n${lineage}${last}`;
}

/**
 * A marker at its place in the order: its id is `<source>.<kind>.<position>`.
 * @param nth ends the id, where several of a kind may stand at one place
 */
export function markerMessage(
  source: SourceId,
  kind: MetaKind,
  position: Position,
  body: unknown,
  nth?: string,
): StreamMessage {
  return {
    type: "message",
    subject: metaSubject(source, kind),
    head: markerHead(source, kind, `${source}.${kind}.${bare(position)}${nth === undefined ? "" : `.${nth}`}`),
    data: Buffer.from(JSON.stringify(body)),
    position,
  };
}

/** The header lines of a marker. */
export function markerHead(source: SourceId, kind: MetaKind, id: string): string {
  return `${markerLines(source, kind, id)}ce-time: ${new Date().toISOString()}\r\n`;
}

/** The same without a time, for one that has the time of its transaction. */
export function markerLines(source: SourceId, kind: MetaKind, id: string): string {
  return `ce-specversion: 1.0\r\nce-source: /${source}\r\nce-type: ${source}.meta.${kind}\r\ncontent-type: application/json\r\nce-id: ${id}\r\n`;
}
