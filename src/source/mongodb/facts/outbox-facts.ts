// Where a source's outbox is, and whether somebody empties it.

import type { MongoClient } from "mongodb";
import { driver } from "../client/driver.ts";
import type { MongoConfig } from "../options/config.ts";

/** The databases that have it, as a collection of documents. @throws what the driver throws */
export async function findOutboxes(
  client: MongoClient,
  { databases, outbox }: Pick<MongoConfig, "databases" | "outbox">,
): Promise<readonly string[]> {
  if (outbox === undefined) return [];
  const found: string[] = [];
  for (const database of databases) {
    const [info] = await client.db(database).listCollections({ name: outbox.collection }).toArray();
    if (info?.type === "collection") found.push(database);
  }
  return found;
}

/** Whether an index lets its documents expire; undefined where the user may not ask. @throws what the driver throws */
export async function outboxExpires(client: MongoClient, database: string, name: string): Promise<boolean | undefined> {
  try {
    const indexes = await client.db(database).collection(name).listIndexes().toArray();
    return indexes.some(({ expireAfterSeconds }) => expireAfterSeconds !== undefined);
  } catch (error) {
    if (error instanceof driver().MongoServerError) return undefined;
    throw error;
  }
}
