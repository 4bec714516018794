// A domain event: what the application put into its outbox, as a message of the source's stream.

import { PoisonError } from "../errors.ts";
import { laneOf } from "./lane.ts";
import { percentEncode } from "./percent.ts";
import type { Domain, Unplaced } from "./source-event.ts";

/** What an outbox holds of one event; the names are those of its columns. */
export interface OutboxEntry {
  readonly id: unknown;
  readonly aggregatetype: unknown;
  readonly aggregateid: unknown;
  readonly type: unknown;
  /** Its JSON text, UTF-8: it becomes the body as it is. */
  readonly payload: Uint8Array;
  /** An object of texts; null and undefined are none. */
  readonly headers: unknown;
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const headerName = /^[A-Za-z0-9_-]{1,100}$/;
/** These are ours, the binding's or the bus' own. */
const reserved = /^(?:ce-|cdc-|nats-|millrace-|content-type$)/i;
/** The most bytes of an aggregate's and a type's name each: subjects and headers have an end. */
const MAX_NAME_BYTES = 200;
/** The most bytes of key and headers as they travel: nats-server takes 64 KiB, and what caused the transaction travels there too. */
export const MAX_OWN_HEAD_BYTES: number = 32 * 1024;

/** @throws PoisonError OUTBOX_MALFORMED, naming the part and never its content */
export function domainEvent(entry: OutboxEntry): Unplaced<Domain> {
  const { id, aggregateid: key } = entry;
  const aggregate = name(entry.aggregatetype, "aggregatetype");
  const type = name(entry.type, "type");
  if (typeof id !== "string" || !uuid.test(id)) throw malformed("its id is no uuid");
  if (typeof key !== "string") throw malformed("its aggregateid is no text");
  const lane = laneOf(Buffer.from(JSON.stringify(key)));
  const headers = checkedHeaders(entry.headers);
  return { type: "domain", id: id.toLowerCase(), aggregate, name: type, key, lane, headers, data: entry.payload };
}

/** What is wrong with a header's name; undefined when it may be used. */
export function headerFault(header: string): string | undefined {
  if (!headerName.test(header)) return "a header's name is not made of up to 100 letters, digits, _ and -";
  return reserved.test(header)
    ? "a header's name begins with ce-, Cdc-, Nats- or Millrace-, or is content-type"
    : undefined;
}

/** What key and headers take as they travel; `millrace.emit` counts the same. */
export function ownHeadBytes(key: string, headers: Readonly<Record<string, string>>): number {
  const lines = Object.entries(headers).map(([header, value]) => `${header}: ${percentEncode(value)}\r\n`);
  return percentEncode(key).length + lines.join("").length;
}

function checkedHeaders(headers: unknown): Readonly<Record<string, string>> {
  if (headers === null || headers === undefined) return {};
  if (typeof headers !== "object" || Array.isArray(headers)) throw malformed("its headers are no object");
  for (const [header, value] of Object.entries(headers)) {
    const fault = headerFault(header);
    if (fault !== undefined) throw malformed(fault);
    if (typeof value !== "string") throw malformed("a header's value is no text");
  }
  return headers as Readonly<Record<string, string>>;
}

function name(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw malformed(`its ${what} is no text, or empty`);
  if (Buffer.byteLength(value) > MAX_NAME_BYTES) throw malformed(`its ${what} is longer than ${MAX_NAME_BYTES} bytes`);
  return value;
}

/** @param what without any of the row's own data */
export function malformed(what: string): PoisonError {
  return new PoisonError("OUTBOX_MALFORMED", `an outbox entry is no event: ${what}`, {
    hint: "write to the outbox with emit() or millrace.emit(), which refuse what cannot travel",
  });
}
