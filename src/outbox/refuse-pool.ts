// A pool is no transaction: an event written on one commits by itself, whatever becomes of the transaction that it belongs to.

import { ConfigError } from "../errors.ts";
import type { SqlClient } from "./sql-client.ts";

/** @throws ConfigError OUTBOX_ON_A_POOL where it can be told */
export function refusePool(client: SqlClient): void {
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
