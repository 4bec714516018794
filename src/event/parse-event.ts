// From a message of a source's stream to the event that a subscriber sees. Pure: the reverse of what the publisher wrote.

import type { ChangeBody, ChangeEvent } from "./change-event.ts";
import { lineageOf } from "./lineage.ts";
import { percentDecode, undecodable } from "./percent.ts";
import { refuseOtherVersion } from "./spec-version.ts";
import { type Op, unescapeToken } from "./subject.ts";
import { transactionMark } from "./transaction-mark.ts";

/** What a bus hands over, whichever it is. */
export interface StoredMessage {
  readonly subject: string;
  /** A header's value as it came, percent-encoded. */
  header(name: string): string | undefined;
  /** All of them as they came; only domain events have some that are not ours. */
  headers?(): Readonly<Record<string, string>>;
  readonly data: Uint8Array;
  readonly sequence: number;
}

const ops: ReadonlySet<string> = new Set<Op>(["created", "updated", "deleted", "read", "truncated"]);
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Subject, headers and body as one event.
 * @throws PoisonError `EVENT_UNDECODABLE`, naming the part (never its content), when this is no change event of ours
 */
export function parseEvent(message: StoredMessage): ChangeEvent {
  refuseOtherVersion(message);
  const place = placeOf(message.subject);
  const body = parseBody(message.data);
  if (body.op !== place.op) throw undecodable("the op of the body is not that of the subject");
  // Filled in where it is: a copy of the body costs more than all the rest.
  const event = body as { -readonly [Part in keyof ChangeEvent]: ChangeEvent[Part] };
  event.id = required(message, "ce-id");
  event.type = required(message, "ce-type");
  event.source = place.source;
  event.namespace = place.namespace;
  event.collection = place.collection;
  event.time = required(message, "ce-time");
  event.position = required(message, "Cdc-Pos");
  const transaction = transactionMark(message);
  if (transaction !== undefined) event.transaction = transaction;
  event.sequence = message.sequence;
  const lineage = lineageOf(message);
  if (lineage !== undefined) event.lineage = lineage;
  return event;
}

interface Place {
  readonly source: string;
  readonly namespace: string;
  readonly collection: string;
  readonly op: string;
}

/** Subjects come again and again: each is taken apart once, until there are too many of them to remember. */
const places = new Map<string, Place>();
const MAX_PLACES = 1024;

function placeOf(subject: string): Place {
  const known = places.get(subject);
  if (known) return known;
  const place = parseSubject(subject);
  if (places.size >= MAX_PLACES) places.clear();
  places.set(subject, place);
  return place;
}

function parseSubject(subject: string): Place {
  const [kind, source, namespace, collection, op, lane, ...rest] = subject.split(".");
  const whole =
    kind === "cdc" && source && namespace && collection && op !== undefined && ops.has(op) && lane && rest.length === 0;
  if (!whole) throw undecodable("the subject is not cdc.<source>.<namespace>.<collection>.<op>.<lane>");
  try {
    return { source, namespace: unescapeToken(namespace), collection: unescapeToken(collection), op };
  } catch {
    throw undecodable("the subject has a token that cannot be unescaped");
  }
}

function parseBody(data: Uint8Array): ChangeBody {
  let body: unknown;
  try {
    body = JSON.parse(utf8.decode(data));
  } catch {
    // The parser's message quotes the text, which is row data: it goes no further.
    throw undecodable("the body is not JSON");
  }
  if (!isObject(body)) throw undecodable("the body is not an object");
  for (const part of ["key", "before", "after"] as const) {
    if (body[part] !== null && !isObject(body[part]))
      throw undecodable(`the body's "${part}" is neither object nor null`);
  }
  return body as unknown as ChangeBody;
}

function required(message: StoredMessage, name: string): string {
  const value = message.header(name);
  if (value === undefined || value === "") throw undecodable(`the header ${name} is missing`);
  return percentDecode(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
