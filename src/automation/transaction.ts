// Runs work in a transaction of the user's own pool, whichever of the known kinds that is.

import { ConfigError } from "../errors.ts";
import type { SqlClient } from "../outbox/sql-client.ts";

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

/** What a pool of pg lends. */
interface Lent {
  query(text: string): Promise<unknown>;
  release(error?: Error): void;
}

/** One transaction with what `work` does in it: committed when that resolves, rolled back when it rejects. */
export type RunTransaction = <Result>(work: (client: SqlClient) => Promise<Result>) => Promise<Result>;

type Begin = (work: (client: SqlClient) => Promise<unknown>) => Promise<unknown>;

/** @throws ConfigError `TX_DATABASE_UNKNOWN` */
export function transactionsOf(database: Database): RunTransaction {
  const method = (name: string): unknown => {
    const value = (database as Readonly<Record<string, unknown>>)[name];
    return typeof value === "function" ? value.bind(database) : undefined;
  };
  const begin = method("execute") === undefined ? method("begin") : method("transaction"); // postgres.js, drizzle
  if (begin !== undefined) return (work) => (begin as Begin)(work) as ReturnType<typeof work>;
  const connect = method("connect");
  if (connect !== undefined && method("query") !== undefined)
    return (work) => lent(connect as () => Promise<Lent>, work);
  throw new ConfigError("TX_DATABASE_UNKNOWN", "db is no pool that transactions can be opened on", {
    hint: "give a Pool of pg, a database of drizzle-orm, or what postgres() returns, as `db` of the automation or of `defaults`",
  });
}

async function lent<Result>(
  connect: () => Promise<Lent>,
  work: (client: SqlClient) => Promise<Result>,
): Promise<Result> {
  const client = await connect();
  let broken: Error | undefined;
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
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
