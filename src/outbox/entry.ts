// What an event of the application's own must be before anything of it is written, whichever database its outbox is in.

import { PoisonError } from "../errors.ts";
import { headerFault, MAX_OWN_HEAD_BYTES, ownHeadBytes } from "../event/domain-event.ts";
import { type EventSchema, validate } from "./standard-schema.ts";

/** By type, `<aggregate>.<name>`: what the data of such an event is. */
export type EventSchemas = Readonly<Record<string, EventSchema>>;

/** What an event says. */
export interface EventParts<Data = unknown> {
  /** The key of what the event is about: events of one key keep their order, and share a lane. */
  readonly key: string | number | bigint;
  /** Becomes the event's body, as JSON. */
  readonly data: Data;
  /** Further headers of the message. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A uuid. By default a new one. */
  readonly id?: string;
}

/** nats-server's `max_payload`. */
export const MAX_BYTES = 1_048_576;
/** Who writes JavaScript has no compiler to tell of `header`. */
const PARTS: readonly string[] = Object.keys({ key: true, data: true, headers: true, id: true } satisfies Record<
  keyof EventParts,
  true
>);
const MAX_NAME_BYTES = 200;
/** What Millrace's own header lines take. */
const HEADERS_BYTES = 1024;
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** An event that may be written. */
export interface Entry {
  readonly id: string;
  readonly type: string;
  readonly key: string;
  /** JSON text. */
  readonly data: string;
  readonly headers: string;
}

/** @throws PoisonError OUTBOX_EVENT_INVALID, OUTBOX_EVENT_TOO_LARGE */
export async function entryOf(type: string, event: EventParts, schemas: EventSchemas | undefined): Promise<Entry> {
  const [, aggregate = "", name = ""] = /^([^.]+)\.(.+)$/s.exec(type) ?? [];
  const tooLong = [aggregate, name].some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES);
  if (name === "" || tooLong) throw invalid(type, 'its type is no "<aggregate>.<name>" of up to 200 bytes each');
  if (typeof event !== "object" || event === null) throw invalid(type, "it has no key, and no data");
  const unknown = Object.keys(event).find((part) => !PARTS.includes(part));
  if (unknown !== undefined) throw invalid(type, `it has ${unknown}, where an event has ${PARTS.join(", ")}`);
  const { key, headers = {}, id = crypto.randomUUID() } = event;
  if (!["string", "number", "bigint"].includes(typeof key) || Number.isNaN(key))
    throw invalid(type, "its key is no text and no number");
  if (!uuid.test(id)) throw invalid(type, "its id is no uuid");
  for (const [header, value] of Object.entries(headers)) {
    const fault = headerFault(header) ?? (typeof value === "string" ? undefined : "a header's value is no text");
    if (fault !== undefined) throw invalid(type, fault);
  }
  const data = jsonOf(type, await checked(type, event.data, schemas));
  const headBytes = ownHeadBytes(String(key), headers);
  if (headBytes > MAX_OWN_HEAD_BYTES) {
    throw new PoisonError(
      "OUTBOX_EVENT_TOO_LARGE",
      `key and headers of the event ${type} need ${headBytes} bytes, and ${MAX_OWN_HEAD_BYTES} may travel`,
      { hint: "put what is long into the event's data" },
    );
  }
  // The id as it comes out again, in the database's spelling of a uuid.
  return { id: id.toLowerCase(), type, key: String(key), data, headers: JSON.stringify(headers) };
}

/** What `JSON.stringify` says of it may quote it. */
function jsonOf(type: string, data: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(data) as string | undefined;
  } catch (error) {
    const name = error instanceof Error ? error.name : "what is no error";
    throw invalid(
      type,
      `JSON.stringify throws ${name} at its data: a bigint must go as text, and nothing can hold itself`,
    );
  }
  if (text === undefined) throw invalid(type, "it has no data; null is some");
  return text;
}

async function checked(type: string, data: unknown, schemas: EventSchemas | undefined): Promise<unknown> {
  if (schemas === undefined) return data;
  const schema = Object.hasOwn(schemas, type) ? schemas[type] : undefined;
  if (schema === undefined) throw invalid(type, "no such type was declared");
  const result = await validate(schema, data);
  if ("paths" in result) throw invalid(type, `its schema refuses ${result.paths.join(", ")}`);
  return result.value;
}

/** Aggregate and name of an entry. */
export function namesOf({ type }: Pick<Entry, "type">): { readonly aggregate: string; readonly name: string } {
  const dot = type.indexOf(".");
  return { aggregate: type.slice(0, dot), name: type.slice(dot + 1) };
}

/** @throws PoisonError OUTBOX_EVENT_TOO_LARGE for what the bus cannot take */
export function refuseLarge({ data, headers, key, type }: Entry, maxBytes: number): void {
  const bytes = Buffer.byteLength(data) + 3 * Buffer.byteLength(headers + key + type) + HEADERS_BYTES;
  if (bytes <= maxBytes) return;
  throw new PoisonError(
    "OUTBOX_EVENT_TOO_LARGE",
    `the event ${type} needs ${bytes} bytes, and the bus takes ${maxBytes}`,
    { hint: "put a reference to the large part into the event, or raise max_payload of nats-server and then maxBytes" },
  );
}

/** As `JSON.stringify` writes U+0000 and half a surrogate pair. */
const noText = /(?:^|[^\\])(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** Refuses what no text and no jsonb of Postgres can hold. @throws PoisonError OUTBOX_EVENT_INVALID */
export function refuseNoText({ type, key, data, headers }: Entry): void {
  const fault = Object.entries({ type, key }).find(([, text]) => noText.test(JSON.stringify(text)));
  const part = fault?.[0] ?? Object.entries({ data, headers }).find(([, json]) => noText.test(json))?.[0];
  if (part !== undefined)
    throw invalid(type, `its ${part} holds U+0000, or half a surrogate pair, which Postgres cannot store`);
}

function invalid(type: string, fault: string): PoisonError {
  return new PoisonError("OUTBOX_EVENT_INVALID", `${JSON.stringify(type)} cannot be an event: ${fault}`, {
    hint: "correct the call of emit(); nothing of the event was written",
  });
}
