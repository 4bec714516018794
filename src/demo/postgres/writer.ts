// Writes to the shop from several connections at a steady pace, and counts what it commits in the same transactions.

import pg from "pg";
import { outbox } from "../../outbox/emit.ts";
import { ROLLED_BACK_PERCENT, rememberTill, TILLS, type Till, writeSteadily } from "../shop.ts";
import { chance, pick } from "../shop-database.ts";
import { happenings, type Work } from "./shop.ts";

/** How many of a hundred transactions have a part rolled back. */
const PARTLY_ROLLED_BACK_PERCENT = 6;
/** Two connections that waited for each other: the database ended one of them, which is a rollback like any other. */
const DEADLOCK = "40P01";

/** Writes until the signal; resolves when the last transaction has ended. */
export async function writeShop(url: string, signal: AbortSignal): Promise<void> {
  await Promise.all(Array.from({ length: TILLS }, () => writeFromOne(url, signal)));
}

async function writeFromOne(url: string, signal: AbortSignal): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {}); // the next query tells
  await client.connect();
  const till: Till<string> = { customers: [], pending: [] };
  try {
    await writeSteadily(signal, () => transaction(client, till));
  } finally {
    await client.end();
  }
}

async function transaction(client: pg.Client, till: Till<string>): Promise<void> {
  const work = new CountedWork(client);
  const forget = rememberTill(till);
  await client.query("begin");
  try {
    await pick(happenings)(work, till);
    if (chance(PARTLY_ROLLED_BACK_PERCENT)) await rollBackPart(client, till);
    if (chance(ROLLED_BACK_PERCENT)) {
      await client.query("rollback");
      forget();
      return;
    }
    await client.query("insert into ledger.entries (changes) values ($1)", [work.changes]);
    await client.query("commit");
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && error.code === DEADLOCK)) throw error;
    await client.query("rollback");
    forget();
  }
}

async function rollBackPart(client: pg.Client, till: Till<string>): Promise<void> {
  await client.query("savepoint part");
  await pick(happenings)(new CountedWork(client), { customers: [...till.customers], pending: [...till.pending] });
  await client.query("rollback to savepoint part");
}

class CountedWork implements Work {
  changes = 0;
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  async emit(type: string, key: string, data: unknown): Promise<void> {
    await outbox(this.#client).emit(type, { key, data });
    this.changes++;
  }

  async run(sql: string, values: readonly unknown[] = []): Promise<readonly string[]> {
    const result = await this.#client.query<string[]>({ text: sql, values: [...values], rowMode: "array" });
    this.changes += result.rowCount ?? 0;
    return result.rows.map((row) => row[0] ?? "");
  }
}
