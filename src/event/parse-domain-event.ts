// A domain event as a subscriber sees it: what the application put into its outbox, with its envelope.

import { type Lineage, lineageOf } from "./lineage.ts";
import type { StoredMessage } from "./parse-event.ts";
import { percentDecode, undecodable } from "./percent.ts";
import { refuseOtherVersion } from "./spec-version.ts";
import { unescapeToken } from "./subject.ts";
import { type TransactionMark, transactionMark } from "./transaction-mark.ts";

/** What `outbox(tx).emit(type, { key, data, headers })` wrote. */
export interface DomainEvent<Data = unknown> {
  /** `ce-id`: the uuid of the outbox entry; of a POST its type and an id. */
  readonly id: string;
  /** `order.placed` */
  readonly type: string;
  /** Of a POST `_post`. */
  readonly source: string;
  /** Empty of a POST. */
  readonly key: string;
  readonly data: Data;
  /** The application's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** Commit time, RFC 3339 in UTC, microseconds. */
  readonly time: string;
  /** Of a POST its sequence, as text. */
  readonly position: string;
  /** Absent where its database groups nothing: it stands by itself. */
  readonly transaction?: TransactionMark;
  /** Its sequence in the stream. */
  readonly sequence: number;
  /** What caused the transaction, where a handler's `tx` wrote it. */
  readonly lineage?: Lineage;
}

const PREFIX = "events.";
const ours = /^(?:ce-|cdc-|nats-|millrace-|content-type$)/i;

/** Whether a subject is that of a domain event. */
export function isDomainSubject(subject: string): boolean {
  return subject.startsWith(PREFIX);
}

/** @throws PoisonError `EVENT_UNDECODABLE`, naming the part (never its content) */
export function parseDomainEvent<Data = unknown>(message: StoredMessage): DomainEvent<Data> {
  refuseOtherVersion(message);
  const { subject, sequence } = message;
  const [, source = "", aggregate = "", ...rest] = subject.split(".");
  if (rest.length !== 2) throw undecodable("the subject is not events.<source>.<aggregate>.<type>.<lane>");
  const transaction = transactionMark(message);
  const lineage = lineageOf(message);
  return {
    id: required(message, "ce-id"),
    type: required(message, "ce-type"),
    source,
    key: required(message, "ce-subject").slice(unescapeToken(aggregate).length + 1),
    data: parseData(message.data) as Data,
    headers: ownHeaders(message.headers?.() ?? {}),
    time: required(message, "ce-time"),
    position: required(message, "Cdc-Pos"),
    ...(transaction ? { transaction } : {}),
    sequence,
    ...(lineage ? { lineage } : {}),
  };
}

function parseData(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    throw undecodable("the body is not JSON"); // the parser's message would quote it
  }
}

function ownHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !ours.test(name))
      .map(([name, value]) => [name, percentDecode(value)]),
  );
}

function required(message: StoredMessage, name: string): string {
  const value = message.header(name);
  if (value === undefined || value === "") throw undecodable(`the header ${name} is missing`);
  return percentDecode(value);
}
