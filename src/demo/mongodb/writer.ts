// Writes to the shop in several sessions at a steady pace, and counts what it commits in the same transactions.

import { type MongoClient, MongoError } from "mongodb";
import { realClock } from "../../clock.ts";
import { chance, pick } from "../shop-database.ts";
import type { ShopBooks } from "./books.ts";
import { happenings, type Till, Work } from "./shop.ts";

const SESSIONS = 4;
/** Between the starts of two transactions of one session. */
const EVERY_MS = 40;
/** How many of a hundred transactions are rolled back. */
const ROLLED_BACK_PERCENT = 8;

interface Writer {
  readonly client: MongoClient;
  readonly database: string;
  readonly books: ShopBooks;
  readonly till: Till;
  readonly nextId: () => number;
}

/** Writes until the signal; resolves when the last transaction has ended. */
export async function writeShop(
  client: MongoClient,
  database: string,
  books: ShopBooks,
  signal: AbortSignal,
): Promise<void> {
  let newest = 1000;
  const nextId = (): number => ++newest;
  const writeFromOne = async (): Promise<void> => {
    const writer = { client, database, books, till: { customers: [], pending: [] }, nextId };
    while (!signal.aborted) {
      const startedMs = performance.now();
      await transaction(writer);
      const restMs = EVERY_MS * (0.5 + Math.random()) - (performance.now() - startedMs);
      await realClock.sleep(Math.max(0, restMs), signal);
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, writeFromOne));
}

async function transaction({ client, database, books, till, nextId }: Writer): Promise<void> {
  const before = { customers: [...till.customers], pending: [...till.pending] };
  const session = client.startSession();
  const work = new Work(client.db(database), session, nextId);
  let committed = false;
  try {
    session.startTransaction({ readConcern: { level: "snapshot" }, writeConcern: { w: "majority" } });
    await pick(happenings)(work, till);
    await books.enter(work.changes, session);
    if (chance(ROLLED_BACK_PERCENT)) return;
    await session.commitTransaction();
    committed = true;
  } catch (error) {
    // Two sessions wanted the same product: the database ended one of them, which is a rollback like any other.
    if (!(error instanceof MongoError && error.hasErrorLabel("TransientTransactionError"))) throw error;
  } finally {
    if (!committed) {
      if (session.inTransaction()) await session.abortTransaction();
      till.customers.splice(0, till.customers.length, ...before.customers);
      till.pending.splice(0, till.pending.length, ...before.pending);
    }
    await session.endSession();
  }
}
