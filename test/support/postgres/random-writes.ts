// Transactions of every shape, at random, for as long as a test breaks things.

import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "pg";
import { Random } from "../bus/scripted-bus.ts";
import type { Database } from "../servers.ts";

export const TABLES = `
  create table account(id bigint primary key, balance numeric(20, 2), note text, doc text);
  create table item(id bigint, sub int, body jsonb, at timestamptz default clock_timestamp(), primary key (id, sub));
  create table whole(id int primary key, doc text, done boolean); alter table whole replica identity full`;

/** Some hundred transactions a second in all: more would only give the judge more to read. */
const LONGEST_PAUSE_MS = 15;

export interface Writers {
  /** Ends after the transactions that are under way; resolves to how many were committed for certain. */
  stop(): Promise<number>;
}

/** Starts some sessions that write until they are stopped; a session that is lost begins anew. */
export function writeAtRandom(database: Database, seed: number, sessions = 3): Writers {
  const stopping = new AbortController();
  const running = Array.from({ length: sessions }, (_, session) =>
    writeUntil(stopping.signal, database, new Random(seed * 100 + session), session),
  );
  return {
    stop: async () => {
      stopping.abort();
      return (await Promise.all(running)).reduce((sum, committed) => sum + committed, 0);
    },
  };
}

async function writeUntil(signal: AbortSignal, database: Database, random: Random, session: number): Promise<number> {
  let committed = 0;
  let client: Client | undefined;
  // Each session has ids of its own: no deadlocks, and adjacent commits of several sessions.
  const id = (): number => session * 1_000 + random.below(200);
  while (!signal.aborted) {
    try {
      client ??= await database.connect();
      await client.query(transaction(random, id));
      committed++;
      await delay(random.below(LONGEST_PAUSE_MS));
    } catch {
      // A lost connection, or a statement that failed and rolled everything back: both are part of the mix.
      await client?.end().catch(() => {});
      client = undefined;
    }
  }
  await client?.end();
  return committed;
}

/** One simple-protocol query is one transaction. */
function transaction(random: Random, id: () => number): string {
  const statements = Array.from({ length: 1 + random.below(random.chance(0.05) ? 400 : 6) }, () =>
    statement(random, id),
  );
  if (random.chance(0.2)) statements.push(`savepoint s; ${statement(random, id)}; rollback to s`);
  if (random.chance(0.1)) statements.push("select pg_logical_emit_message(true, 'test', 'x')");
  return `begin; ${statements.join("; ")}; ${random.chance(0.1) ? "rollback" : "commit"}`;
}

function statement(random: Random, id: () => number): string {
  const long = `repeat(md5('${random.below(1e6)}'), ${random.chance(0.1) ? 300 : 2})`;
  const shapes = [
    () => `insert into account values (${id()}, ${random.below(1e6)} / 100.0, 'it''s', ${long})
             on conflict (id) do update set balance = account.balance + 1`,
    () => `update account set note = md5(note) where id = ${id()}`,
    () => `insert into item select ${id()}, i, '{"n": 12345678901234567890}' from generate_series(1, ${1 + random.below(30)}) i
             on conflict (id, sub) do nothing`,
    () => `update item set sub = sub + 1000 where id = ${id()} and sub < 1000`,
    () => `delete from item where id = ${id()}`,
    () => `insert into whole values (${id()}, ${long}, true) on conflict (id) do update set done = not whole.done`,
    () => `delete from whole where id = ${id()}`,
  ];
  return (shapes[random.below(shapes.length)] ?? (() => "select 1"))();
}
