// What a receiver took: as the bus stores it, and as a handler gets it.

import { canonicalJson, laneOf } from "./lane.ts";
import type { StoredMessage } from "./parse-event.ts";
import { percentDecode, undecodable } from "./percent.ts";
import { refuseOtherVersion } from "./spec-version.ts";
import { domainSubjectPrefix, escapeToken } from "./subject.ts";
import type { WorkerEvent } from "./worker-event.ts";

/** As a handler gets it. */
export interface WebhookEvent<Body = unknown> {
  /** `<receiver>.<the provider's id>`; where it has none, the SHA-256 of the body in hex. */
  readonly id: string;
  /** The provider's own word, like `invoice.paid`; `_` where none could be found. */
  readonly type: string;
  /** RFC 3339 in UTC: when it happened, where the provider says so, else when it was received. */
  readonly time: string;
  /** Lower-case names: the content type and the provider's own; never credentials. */
  readonly headers: Readonly<Record<string, string>>;
  /** The JSON body; undefined where it was none. */
  readonly body: Body;
  /** What came where it was no JSON, in base64. */
  readonly raw: string | undefined;
  /** Its sequence in `MILLRACE_EVENTS`. */
  readonly sequence: number;
}

/** What is known of a webhook's event before it is stored. */
export interface ReceivedEvent {
  readonly receiver: string;
  /** The provider's, or the hash of the body. */
  readonly id: string;
  readonly type: string;
  readonly time: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text, verbatim; undefined when it is none. */
  readonly json: Uint8Array | undefined;
  readonly raw: Uint8Array | undefined;
}

/** The body goes in as the bytes that came: parsed and written again it would be another one. */
export function webhookEvent({ receiver, id, type, time, headers, json, raw }: ReceivedEvent): WorkerEvent {
  const head = `{"type":${JSON.stringify(type)},"headers":${JSON.stringify(headers)}`;
  const rest = json === undefined ? `,"raw":"${Buffer.from(raw ?? []).toString("base64")}"}` : "}";
  const data = Buffer.concat([
    Buffer.from(head),
    ...(json === undefined ? [] : [Buffer.from(',"body":'), json]),
    Buffer.from(rest),
  ]);
  return {
    origin: "_in",
    aggregate: receiver,
    name: type,
    id: `${receiver}.${id}`,
    subject: receiver,
    lane: laneOf(Buffer.from(canonicalJson({ receiver }))),
    time,
    data,
  };
}

/** `events._in.<receiver>.<type>.*`, or of all types: no lane is left out. */
export function webhookFilter(receiver: string, type: string | undefined): string {
  return `events._in.${receiver}.${type === undefined ? "*" : escapeToken(type)}.*`;
}

/** `events._in.<receiver>.` with the type behind it, where there is one. */
export function webhookPrefix(receiver: string, type: string | undefined): string {
  return type === undefined ? `events._in.${receiver}.` : domainSubjectPrefix("_in", receiver, type);
}

/** @throws PoisonError `EVENT_UNDECODABLE`, naming the part, never its content */
export function parseWebhookEvent(message: StoredMessage): WebhookEvent {
  refuseOtherVersion(message);
  const [id, time] = ["ce-id", "ce-time"].map((name) => message.header(name));
  if (!id || !time) throw undecodable("it lacks a ce- header");
  const { type, headers, body, raw } = envelopeOf(message.data);
  if (typeof type !== "string" || typeof headers !== "object" || headers === null)
    throw undecodable("the body has no type, or no headers");
  return {
    id: percentDecode(id),
    type,
    time,
    headers: headers as WebhookEvent["headers"],
    body,
    raw: typeof raw === "string" ? raw : undefined,
    sequence: message.sequence,
  };
}

function envelopeOf(data: Uint8Array): Readonly<Partial<Record<"type" | "headers" | "body" | "raw", unknown>>> {
  let envelope: unknown;
  try {
    envelope = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    throw undecodable("the body is not JSON"); // the parser's message would quote it
  }
  if (typeof envelope !== "object" || envelope === null) throw undecodable("the body is not an object");
  return envelope;
}
