// Runs work in a transaction of the user's own pool, whichever of the known kinds that is.

import { ConfigError, TransientError } from "../errors.ts";
import { type SqlClient, sqlRunner } from "../outbox/sql-client.ts";
import { isConnection, isPool, keepAlive, type PgPool } from "./pg-pool.ts";

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

/** One transaction with what `work` does in it: committed when that resolves, rolled back when it rejects. */
export type RunTransaction = <Result>(work: (client: SqlClient) => Promise<Result>) => Promise<Result>;

/** An earlier statement of the transaction has failed. */
const IN_FAILED_TRANSACTION = "25P02";

type Begin = (work: (client: SqlClient) => Promise<unknown>) => Promise<unknown>;

/** @throws ConfigError `TX_DATABASE_UNKNOWN` */
export function transactionsOf(database: Database): RunTransaction {
  const method = (name: string): unknown => {
    const value = (database as Readonly<Record<string, unknown>>)[name];
    return typeof value === "function" ? value.bind(database) : undefined;
  };
  const transaction = method("execute") === undefined ? undefined : method("transaction");
  if (transaction !== undefined) return onDrizzle(transaction as Begin, (database as { $client?: unknown }).$client);
  const begin = method("begin"); // postgres.js: a statement that failed fails the transaction, though nobody waited for it
  if (begin !== undefined) return (work) => (begin as Begin)(work) as ReturnType<typeof work>;
  if (!isPool(database)) throw unknown("it is no pool that transactions can be opened on");
  keepAlive(database);
  return (work) => lent(database, work);
}

/** @param client what the database of drizzle runs on: a pool of pg, or what else it has a driver for */
function onDrizzle(transaction: Begin, client: unknown): RunTransaction {
  if (isPool(client)) keepAlive(client);
  else if (isConnection(client)) {
    throw unknown(
      "it is a database of drizzle on a single connection, and handlers that run at once would share a transaction",
    );
  }
  const checked = async <Result>(work: (client: SqlClient) => Promise<Result>, tx: SqlClient): Promise<Result> => {
    const result = await work(tx);
    // drizzle does not hand out what became of its commit.
    await sqlRunner(tx)("select 1", []).catch((error: unknown) => {
      throw sqlStateOf(error) === IN_FAILED_TRANSACTION ? aborted(error) : error;
    });
    return result;
  };
  return (work) => transaction((tx) => checked(work, tx)) as ReturnType<typeof work>;
}

async function lent<Result>(pool: PgPool, work: (client: SqlClient) => Promise<Result>): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    const { command } = await client.query("COMMIT");
    if (command !== "COMMIT") throw aborted();
    return result;
  } catch (error) {
    // A connection that cannot even roll back must not go back into the pool.
    await client.query("ROLLBACK").catch((failed: Error) => {
      broken = failed;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Postgres takes the COMMIT of such a transaction without an error, and rolls it back. */
function aborted(cause?: unknown): TransientError {
  return new TransientError("TX_ABORTED", "a statement of the transaction had failed, so nothing of it was committed", {
    hint: "let the work of tx() throw what its statements throw; what may fail goes into a savepoint",
    cause,
  });
}

/** The SQLSTATE of what a driver threw; drizzle wraps it. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown };
  return typeof code === "string" ? code : cause === undefined ? undefined : sqlStateOf(cause);
}

function unknown(why: string): ConfigError {
  return new ConfigError("TX_DATABASE_UNKNOWN", `tx() cannot use what db is: ${why}`, {
    hint: "give a Pool of pg, a database of drizzle-orm on a pool, or what postgres() returns, as `db` of the automation or of `defaults`",
  });
}
