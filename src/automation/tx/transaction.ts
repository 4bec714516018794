// Runs work in a transaction of the user's own pool, whichever of the known kinds that is.

import { ConfigError, TransientError } from "../../errors.ts";
import type { SqlClient } from "../../outbox/sql-client.ts";
import { guardedClient, guardedSql } from "./transaction-control.ts";

/** A pool of pg, a database of drizzle, or what postgres.js makes. */
export type Database = object;

/** What `client` is where nothing more is known of the database: what a pool of pg lends. */
export interface PgClient {
  query<Row = Readonly<Record<string, unknown>>>(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }>;
}

/** The transaction that a kind of database hands to what runs in it. */
export type ClientOf<Db> = Db extends { transaction(work: (client: infer Client) => Promise<unknown>): unknown }
  ? Client
  : Db extends { readonly begin: unknown; readonly unsafe: unknown }
    ? Db
    : PgClient;

/**
 * One transaction with what `work` does in it: committed when that resolves, rolled back when it rejects; then it rejects with
 * what the work threw, or with what the connection was lost by.
 * @param signal aborted: a connection of pg is given up, whatever it waits for
 */
export type RunTransaction = <Result>(
  work: (client: SqlClient) => Promise<Result>,
  signal?: AbortSignal,
) => Promise<Result>;

type Begin = (work: (client: SqlClient) => Promise<unknown>) => Promise<unknown>;

/** @throws ConfigError `TX_DATABASE_UNKNOWN` */
export function transactionsOf(database: Database): RunTransaction {
  const method = (name: string): Begin | undefined => {
    const value = (database as Readonly<Record<string, unknown>>)[name];
    return typeof value === "function" ? (value.bind(database) as Begin) : undefined;
  };
  const transaction = method("execute") === undefined ? undefined : method("transaction");
  if (transaction !== undefined) return onDrizzle(database as DrizzleDatabase, transaction);
  const begin = method("begin"); // postgres.js: a statement that failed fails the transaction, though nobody waited for it
  if (begin !== undefined) return (work) => begin((sql) => work(guardedSql(sql))) as ReturnType<typeof work>;
  if (!isPool(database)) throw unknown("it is no pool that transactions can be opened on");
  keepAlive(database);
  return (work, signal) => lent(database, signal, (client) => onClient(client, work));
}

interface DrizzleDatabase {
  /** What it runs on: a pool of pg, or what else it has a driver for. */
  readonly $client?: unknown;
  readonly session?: { readonly client?: unknown; transaction: Begin };
}

function onDrizzle({ $client: client, session }: DrizzleDatabase, transaction: Begin): RunTransaction {
  if (isConnection(client) && !isPool(client)) {
    throw unknown(
      "it is a database of drizzle on a single connection, and handlers that run at once would share a transaction",
    );
  }
  if (isPool(client)) keepAlive(client);
  const begin = (client as { readonly begin?: Begin } | undefined)?.begin;
  if (session === undefined || session.client !== client || !(isPool(client) || begin)) {
    return (work) => transaction(work) as ReturnType<typeof work>;
  }
  /** drizzle's session, on another client than its own. */
  const on = (own: object): typeof session => Object.create(session, { client: { value: own } }) as typeof session;
  if (!isPool(client)) {
    const guarded = on({ begin: (work: Parameters<Begin>[0]) => begin?.call(client, (sql) => work(guardedSql(sql))) });
    return (work) => guarded.transaction(work) as ReturnType<typeof work>;
  }
  // drizzle never gives back a connection whose BEGIN failed; so it is lent here.
  return (work, signal) =>
    lent(client, signal, (one) => {
      let works = false;
      return on(guardedClient(one, () => works)).transaction((tx) => {
        works = true;
        return work(tx).finally(() => {
          works = false;
        });
      }) as ReturnType<typeof work>;
    });
}

async function onClient<Result>(client: Lent, work: (client: SqlClient) => Promise<Result>): Promise<Result> {
  await client.query("BEGIN");
  const result = await work(guardedClient(client, () => true));
  const { command } = await client.query("COMMIT");
  if (command !== "COMMIT") throw aborted();
  return result;
}

async function lent<Result>(
  pool: PgPool,
  signal: AbortSignal | undefined,
  run: (client: Lent) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const giveUp = (): void => {
    broken = new Error("given up at the end of the attempt");
    client.end().catch(() => {}); // the server rolls back
  };
  signal?.addEventListener("abort", giveUp);
  try {
    return await run(client);
  } catch (error) {
    // A connection that cannot even roll back must not go back into the pool.
    await client.query("ROLLBACK").catch((failed: Error) => {
      broken ??= failed;
    });
    throw broken ?? error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
    client.release(broken);
  }
}

/** Postgres takes the COMMIT of such a transaction without an error, and rolls it back. */
export function aborted(cause?: unknown): TransientError {
  return new TransientError("TX_ABORTED", "a statement of the transaction had failed, so nothing of it was committed", {
    hint: "let the work of tx() throw what its statements throw; what may fail goes into a savepoint",
    cause,
  });
}

function unknown(why: string): ConfigError {
  return new ConfigError("TX_DATABASE_UNKNOWN", `tx() cannot use what db is: ${why}`, {
    hint: "give a Pool of pg, a database of drizzle-orm on a pool, or what postgres() returns, as `db` of the automation or of `defaults`",
  });
}

type Listener = (subject: Emitter) => void;

interface Emitter {
  on(event: string, listener: Listener): unknown;
}

/** What a pool of pg lends. */
export interface Lent extends Emitter {
  query(text: string): Promise<{ readonly command?: string }>;
  end(): Promise<void>;
  release(error?: Error): void;
}

export interface PgPool extends Emitter {
  connect(): Promise<Lent>;
  listenerCount(event: string): number;
}

/** Whether it is a pool; a single connection of pg has `connect` and `query` too, but counts no others. */
export function isPool(value: unknown): value is PgPool {
  return isConnection(value) && "totalCount" in value;
}

/** Whether it is a connection of pg, or a pool of them. */
function isConnection(value: unknown): value is object {
  return typeof value === "object" && value !== null && "connect" in value && "query" in value;
}

const kept = new WeakSet<object>();
/** Whoever uses the connection next is told by his statement. */
const ignore = (): void => {};

/**
 * pg emits the loss of a connection as an `error`, which ends the process where nobody listens; and the pool takes its own
 * listener off a connection that it lends.
 */
export function keepAlive(pool: PgPool): void {
  if (kept.has(pool)) return;
  kept.add(pool);
  if (pool.listenerCount("error") === 0) pool.on("error", ignore);
  pool.on("acquire", (client) => {
    if (kept.has(client)) return;
    kept.add(client);
    client.on("error", ignore);
  });
}
