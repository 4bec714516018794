// emit(): an event of the application's own, in the transaction that makes it true. It is on the bus when that commits.

import { ConfigError, PoisonError } from "../errors.ts";
import { headerFault, MAX_OWN_HEAD_BYTES, ownHeadBytes } from "../event/domain-event.ts";
import { firstValue, type RunSql, type SqlClient, sqlRunner } from "./sql-client.ts";
import { type EventSchema, validate } from "./standard-schema.ts";

/** By type, `<aggregate>.<name>`: what the data of such an event is. */
export type EventSchemas = Readonly<Record<string, EventSchema>>;

export interface OutboxOptions<Schemas extends EventSchemas = EventSchemas> {
  /** Only these types may be emitted, and their data is checked first. Without it: any type, any data. */
  readonly events?: Schemas;
  /**
   * "message" writes a logical message and needs nothing in the database. By default `millrace.emit` is called, and the
   * database's own setting `millrace.outbox` says how it writes.
   */
  readonly mode?: "message";
  /** With the mode "message": the largest message that the bus takes, in bytes. Default 1048576, that of nats-server. */
  readonly maxBytes?: number;
}

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

export interface Outbox<Schemas extends EventSchemas = EventSchemas> {
  /**
   * Writes the event `<aggregate>.<name>`, split at the first dot; resolves to its id.
   * @throws PoisonError OUTBOX_EVENT_INVALID, OUTBOX_EVENT_TOO_LARGE before anything is written; ConfigError
   *   OUTBOX_NOT_WRITTEN when the client did not say that it is; what the client throws
   */
  emit<Type extends keyof Schemas & string>(type: Type, event: EventParts<InputOf<Schemas[Type]>>): Promise<string>;
}

type InputOf<Schema> = Schema extends EventSchema<infer Input> ? Input : never;

// In the application's own session, whose search_path may lead to anybody's functions, types and operators: all is qualified.
const CALL = `select millrace.emit($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text::pg_catalog.jsonb,
  $4::pg_catalog.text::pg_catalog.jsonb, $5::pg_catalog.text::pg_catalog.uuid)::pg_catalog.text as written`;
const MESSAGE = `select pg_catalog.pg_logical_emit_message(true, 'millrace.outbox',
  pg_catalog.convert_to($1::pg_catalog.text, 'UTF8'))::pg_catalog.text as written`;
const lsn = /^[0-9A-F]+\/[0-9A-F]+$/i;
/** nats-server's `max_payload`. */
const MAX_BYTES = 1_048_576;
const MAX_NAME_BYTES = 200;
/** What Millrace's own header lines take. */
const HEADERS_BYTES = 1024;
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The outbox in this transaction.
 * @param transaction what runs statements in it, never the pool: an event on a pool commits by itself
 * @throws ConfigError SQL_CLIENT_UNKNOWN, OUTBOX_ON_A_POOL
 */
export function outbox<Schemas extends EventSchemas = EventSchemas>(
  transaction: SqlClient,
  options: OutboxOptions<Schemas> = {},
): Outbox<Schemas> {
  refusePool(transaction);
  const run = sqlRunner(transaction);
  return {
    emit: async (type, event) => {
      const entry = await entryOf(type, event, options.events);
      await (options.mode === "message" ? writeMessage(run, entry, options.maxBytes ?? MAX_BYTES) : call(run, entry));
      return entry.id;
    },
  };
}

interface Entry {
  readonly id: string;
  readonly type: string;
  readonly key: string;
  /** JSON text. */
  readonly data: string;
  readonly headers: string;
}

async function entryOf(type: string, event: EventParts, schemas: EventSchemas | undefined): Promise<Entry> {
  const [, aggregate = "", name = ""] = /^([^.]+)\.(.+)$/s.exec(type) ?? [];
  const tooLong = [aggregate, name].some((part) => Buffer.byteLength(part) > MAX_NAME_BYTES);
  if (name === "" || tooLong) throw invalid(type, 'its type is no "<aggregate>.<name>" of up to 200 bytes each');
  const { key, headers = {}, id = crypto.randomUUID() } = event;
  if (!["string", "number", "bigint"].includes(typeof key)) throw invalid(type, "its key is no text and no number");
  if (!uuid.test(id)) throw invalid(type, "its id is no uuid");
  for (const [header, value] of Object.entries(headers)) {
    const fault = headerFault(header) ?? (typeof value === "string" ? undefined : "a header's value is no text");
    if (fault !== undefined) throw invalid(type, fault);
  }
  const data = JSON.stringify(await checked(type, event.data, schemas)) as string | undefined;
  if (data === undefined) throw invalid(type, "it has no data; null is some");
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

async function checked(type: string, data: unknown, schemas: EventSchemas | undefined): Promise<unknown> {
  if (schemas === undefined) return data;
  const schema = Object.hasOwn(schemas, type) ? schemas[type] : undefined;
  if (schema === undefined) throw invalid(type, "no such type was declared");
  const result = await validate(schema, data);
  if ("paths" in result) throw invalid(type, `its schema refuses ${result.paths.join(", ")}`);
  return result.value;
}

async function call(run: RunSql, { type, key, data, headers, id }: Entry): Promise<void> {
  if (firstValue(await run(CALL, [type, key, data, headers, id])) !== id) throw notWritten(type);
}

async function writeMessage(run: RunSql, { type, key, data, headers, id }: Entry, maxBytes: number): Promise<void> {
  const bytes = Buffer.byteLength(data) + 3 * Buffer.byteLength(headers + key + type) + HEADERS_BYTES;
  if (bytes > maxBytes) {
    throw new PoisonError(
      "OUTBOX_EVENT_TOO_LARGE",
      `the event ${type} needs ${bytes} bytes, and the bus takes ${maxBytes}`,
      {
        hint: "put a reference to the large part into the event, or raise max_payload of nats-server and then maxBytes",
      },
    );
  }
  const dot = type.indexOf(".");
  const head = { id, aggregatetype: type.slice(0, dot), aggregateid: key, type: type.slice(dot + 1) };
  const text = `${JSON.stringify(head).slice(0, -1)},"payload":${data},"headers":${headers}}`;
  if (!lsn.test(String(firstValue(await run(MESSAGE, [text]))))) throw notWritten(type);
}

/** Some clients have the methods of one that is known, and do something else, or nothing, with a statement. */
function notWritten(type: string): ConfigError {
  return new ConfigError("OUTBOX_NOT_WRITTEN", `the client did not answer that it has written the event ${type}`, {
    hint: "Roll the transaction back. Give outbox() the transaction of a driver that is known, or a function (text, values) that resolves to what the driver answers, rows and all.",
  });
}

function invalid(type: string, fault: string): PoisonError {
  return new PoisonError("OUTBOX_EVENT_INVALID", `${JSON.stringify(type)} cannot be an event: ${fault}`, {
    hint: "correct the call of emit(); nothing of the event was written",
  });
}

/** @throws ConfigError OUTBOX_ON_A_POOL where it can be told */
function refusePool(client: SqlClient): void {
  const own = client as Readonly<Record<string, unknown>>;
  const { $client } = own; // what a database of drizzle runs on, and a transaction of it has not
  if (!isPool(own) && !(isObject($client) && isPool($client))) return;
  throw new ConfigError("OUTBOX_ON_A_POOL", "this is a pool and no transaction: the event would commit by itself", {
    hint: "Begin a transaction, write in it what makes the event true, and give outbox() what runs statements in it: the client that the pool lends, or what the callback is given.",
  });
}

function isPool(client: Readonly<Record<string, unknown>>): boolean {
  const has = (method: string): boolean => typeof client[method] === "function";
  return (
    (has("connect") && client.totalCount !== undefined) || // pg
    (has("begin") && has("unsafe")) || // postgres.js
    client.isTransaction === false || // Kysely
    has("$connect") || // Prisma
    has("createQueryRunner") || // TypeORM's DataSource
    (has("getRepository") && client.queryRunner === undefined) // and its EntityManager
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
