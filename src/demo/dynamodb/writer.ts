// Writes to the shop from several tills at a steady pace, and counts what it commits in the same transactions.

import { type DynamoDBClient, TransactWriteItemsCommand } from "@aws-sdk/client-dynamodb";
import { ROLLED_BACK_PERCENT, rememberTill, TILLS, type Till, writeSteadily } from "../shop.ts";
import { chance, pick } from "../shop-database.ts";
import { isCancelled, type ShopBooks } from "./books.ts";
import { happenings, type Order, Work } from "./shop.ts";

/** Writes until the signal; resolves when the last transaction has ended. */
export async function writeShop(client: DynamoDBClient, books: ShopBooks, signal: AbortSignal): Promise<void> {
  let newest = 1000;
  const nextId = (): string => String(++newest);
  const writeFromOne = async (_: unknown, nth: number): Promise<void> => {
    const till: Till<string, Order> = { customers: [], pending: [] };
    await writeSteadily(signal, async () => {
      const forget = rememberTill(till);
      const work = new Work(nextId);
      await pick(happenings)(work, till);
      if (work.writes.length === 0) return; // no order was waiting
      const entry = books.entry(nth, work.writes.length);
      if (chance(ROLLED_BACK_PERCENT)) work.spoil();
      try {
        await client.send(new TransactWriteItemsCommand({ TransactItems: [...work.writes, entry] }));
      } catch (error) {
        if (!isCancelled(error)) throw error;
        forget();
      }
    });
  };
  await Promise.all(Array.from({ length: TILLS }, writeFromOne));
}
