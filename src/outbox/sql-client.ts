// One way to run a statement in whatever transaction the application has: drizzle, pg, postgres.js, Kysely, Prisma, Knex, others.

import { sql } from "drizzle-orm/sql/sql"; // the whole of it takes a process three times as long to load
import { ConfigError } from "../errors.ts";

/** Runs a statement with `$1`, `$2`, … inside the transaction. */
export type RunSql = (text: string, values: readonly string[]) => Promise<unknown>;

/**
 * A transaction, or a connection inside of one. Known by what they have: a function of text and values; `query` (pg,
 * PGlite, TypeORM); `execute` (drizzle); `unsafe` (postgres.js); `executeQuery` (Kysely); `$queryRawUnsafe` (Prisma); `raw` (Knex).
 */
export type SqlClient = object;

type Method = (...args: readonly unknown[]) => Promise<unknown>;

/** @throws ConfigError SQL_CLIENT_UNKNOWN */
export function sqlRunner(client: SqlClient): RunSql {
  const method = (name: string): Method | undefined => {
    const value = (client as Readonly<Record<string, unknown>>)[name];
    return typeof value === "function" ? (value.bind(client) as Method) : undefined;
  };
  const unsafe = method("unsafe");
  if (unsafe) return (text, values) => unsafe(text, [...values]);
  const queryRawUnsafe = method("$queryRawUnsafe");
  if (queryRawUnsafe) return (text, values) => queryRawUnsafe(text, ...values);
  const executeQuery = method("executeQuery");
  if (executeQuery) return (text, values) => executeQuery(kyselyQuery(text, values));
  const execute = method("execute");
  if (execute) return (text, values) => execute(drizzleQuery(text, values));
  const query = method("query");
  if (query) return (text, values) => query(text, [...values]);
  const raw = isKnex(client) ? method("raw") : undefined;
  if (raw) return (text, values) => raw(...knexQuery(text, values));
  if (typeof client === "function") return client as RunSql;
  throw new ConfigError("SQL_CLIENT_UNKNOWN", "this is no transaction that an outbox can write in", {
    hint: "Pass the transaction of drizzle, pg, postgres.js, Kysely, Prisma or Knex, or a function (text, values) that runs a statement with $1, $2, ... and resolves to what the driver answers.",
  });
}

/** The first value of what a statement has answered; undefined where there is none, or nothing that is an answer. */
export function firstValue(result: unknown): unknown {
  const rows = Array.isArray(result) ? result : (result as { readonly rows?: unknown } | null | undefined)?.rows;
  return Array.isArray(rows) ? Object.values((rows[0] as object | undefined) ?? {})[0] : undefined;
}

/** Whether it is an instance of Knex, or a transaction of one: functions both, of a table's name. */
export function isKnex(client: SqlClient): client is { readonly isTransaction?: boolean } {
  const { raw, transaction } = client as Readonly<Record<string, unknown>>;
  return typeof client === "function" && typeof raw === "function" && typeof transaction === "function";
}

/** Knex counts its own parameters, each a `?`. */
function knexQuery(text: string, values: readonly string[]): [string, string[]] {
  const bindings: string[] = [];
  const statement = text.replaceAll("?", "\\?").replaceAll(/\$(\d+)/g, (_, nth: string) => {
    bindings.push(values[Number(nth) - 1] ?? "");
    return "?";
  });
  return [statement, bindings];
}

/** As `CompiledQuery.raw` makes it. */
function kyselyQuery(text: string, parameters: readonly string[]): object {
  const node = { kind: "RawNode", sqlFragments: [text], parameters: [] };
  return { sql: text, parameters: [...parameters], query: node, queryId: { queryId: crypto.randomUUID() } };
}

/** drizzle counts its own parameters, so each `$n` becomes one. */
function drizzleQuery(text: string, values: readonly string[]): unknown {
  const chunks = text
    .split(/\$(\d+)/)
    .map((part, at) => (at % 2 === 0 ? sql.raw(part) : sql.param(values[Number(part) - 1])));
  return sql.join(chunks);
}
