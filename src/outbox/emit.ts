// emit(): an event of the application's own, in the transaction that makes it true. It is on the bus when that commits.

import { ConfigError } from "../errors.ts";
import {
  type Entry,
  type EventParts,
  type EventSchemas,
  entryOf,
  MAX_BYTES,
  namesOf,
  refuseLarge,
  refuseNoText,
} from "./entry.ts";
import { isMongoSession, type MongoOutboxOptions, type MongoSession, mongoWriter } from "./mongo-outbox.ts";
import { refuseUnknownOptions } from "./options.ts";
import { firstValue, isKnex, type RunSql, type SqlClient, sqlRunner } from "./sql-client.ts";
import type { EventSchema } from "./standard-schema.ts";

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

/**
 * The outbox in the transaction of a session of MongoDB's driver: `outbox(session, { collection: db.collection("outbox") })`.
 * @param session in a transaction: outside of one an event would commit by itself
 * @throws ConfigError OUTBOX_SESSION_UNKNOWN, OUTBOX_OPTION_UNKNOWN; `emit` throws OUTBOX_OUTSIDE_TRANSACTION
 */
export function outbox<Schemas extends EventSchemas = EventSchemas>(
  session: MongoSession,
  options: MongoOutboxOptions<Schemas>,
): Outbox<Schemas>;
/**
 * The outbox in this transaction.
 * @param transaction what runs statements in it, never the pool: an event on a pool commits by itself
 * @throws ConfigError SQL_CLIENT_UNKNOWN, OUTBOX_ON_A_POOL, OUTBOX_OPTION_UNKNOWN; `emit` throws OUTBOX_OUTSIDE_TRANSACTION where a
 * client of pg says that none was begun
 */
export function outbox<Schemas extends EventSchemas = EventSchemas>(
  transaction: SqlClient,
  options?: OutboxOptions<Schemas>,
): Outbox<Schemas>;
export function outbox(transaction: SqlClient, options: OutboxOptions | MongoOutboxOptions = {}): Outbox<EventSchemas> {
  const write =
    "collection" in options || isMongoSession(transaction)
      ? mongoWriter(transaction, options)
      : sqlWriter(transaction, options);
  return {
    emit: async (type, event) => {
      const entry = await entryOf(type, event as EventParts, options.events);
      await write(entry);
      return entry.id;
    },
  };
}

const OPTIONS: Readonly<Record<keyof OutboxOptions, true>> = { events: true, mode: true, maxBytes: true };

function sqlWriter(transaction: SqlClient, options: OutboxOptions): (entry: Entry) => Promise<void> {
  refuseUnknownOptions(options, OPTIONS);
  const { mode, maxBytes = MAX_BYTES } = options;
  refusePool(transaction);
  const run = sqlRunner(transaction);
  return async (entry) => {
    refuseOutside(transaction, entry.type);
    await (mode === "message" ? writeMessage(run, entry, maxBytes) : call(run, entry));
  };
}

async function call(run: RunSql, entry: Entry): Promise<void> {
  refuseNoText(entry);
  const { type, key, data, headers, id } = entry;
  if (firstValue(await run(CALL, [type, key, data, headers, id])) !== id) throw notWritten(type);
}

async function writeMessage(run: RunSql, entry: Entry, maxBytes: number): Promise<void> {
  refuseLarge(entry, maxBytes);
  const { id, type, key, data, headers } = entry;
  const { aggregate, name } = namesOf(entry);
  const head = { id, aggregatetype: aggregate, aggregateid: key, type: name };
  const text = `${JSON.stringify(head).slice(0, -1)},"payload":${data},"headers":${headers}}`;
  if (!lsn.test(String(firstValue(await run(MESSAGE, [text]))))) throw notWritten(type);
}

/** Some clients have the methods of one that is known, and do something else, or nothing, with a statement. */
function notWritten(type: string): ConfigError {
  return new ConfigError("OUTBOX_NOT_WRITTEN", `the client did not answer that it has written the event ${type}`, {
    hint: "Roll the transaction back. Give outbox() the transaction of a driver that is known, or a function (text, values) that resolves to what the driver answers, rows and all.",
  });
}

/** @throws ConfigError OUTBOX_ON_A_POOL where it can be told */
function refusePool(client: SqlClient): void {
  const own = client as Readonly<Record<string, unknown>>;
  const { $client } = own; // what a database of drizzle runs on, and a transaction of it has not
  const isOutside = isKnex(client) && client.isTransaction !== true;
  if (!isOutside && !isPool(own) && !(isObject($client) && isPool($client))) return;
  throw new ConfigError("OUTBOX_ON_A_POOL", "this is a pool and no transaction: the event would commit by itself", {
    hint: "Begin a transaction, write in it what makes the event true, and give outbox() what runs statements in it: the client that the pool lends, or what the callback is given.",
  });
}

/**
 * A client of pg knows whether a transaction was begun on it; one that has a statement under way may be about to.
 * @throws ConfigError OUTBOX_OUTSIDE_TRANSACTION
 */
function refuseOutside(client: SqlClient, type: string): void {
  const { $client = client } = client as { readonly $client?: unknown };
  if (!isObject($client) || typeof $client.getTransactionStatus !== "function" || $client.readyForQuery !== true)
    return;
  if ($client.getTransactionStatus() !== "I") return;
  throw new ConfigError(
    "OUTBOX_OUTSIDE_TRANSACTION",
    `the client is in no transaction: the event ${type} would commit by itself`,
    { hint: "Begin one on it, and call emit() in it, beside what makes the event true." },
  );
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
