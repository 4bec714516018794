// Writes to the shop in several sessions at a steady pace, and counts what it commits in the same transactions.

import { type MongoClient, MongoError } from "mongodb";
import { ROLLED_BACK_PERCENT, rememberTill, TILLS, type Till, writeSteadily } from "../shop.ts";
import { chance, pick } from "../shop-database.ts";
import type { ShopBooks } from "./books.ts";
import { happenings, Work } from "./shop.ts";

interface Writer {
  readonly client: MongoClient;
  readonly database: string;
  readonly books: ShopBooks;
  readonly till: Till<number>;
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
    await writeSteadily(signal, () => transaction(writer));
  };
  await Promise.all(Array.from({ length: TILLS }, writeFromOne));
}

async function transaction({ client, database, books, till, nextId }: Writer): Promise<void> {
  const forget = rememberTill(till);
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
      forget();
    }
    await session.endSession();
  }
}
