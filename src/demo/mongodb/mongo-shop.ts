// The demo's shop on a MongoDB server: the one that MONGODB_URI names, in databases of its own, else a SecantusDB of its own.

import { join } from "node:path";
import { MongoClient } from "mongodb";
import { startSecantus } from "../../dev/secantus.ts";
import type { Automation } from "../../index.ts";
import type { Latency } from "../latency.ts";
import { byTransaction, type IndependentLog, type ShopDatabase } from "../shop-database.ts";
import { listeners, shopAutomations } from "./automations.ts";
import { ShopBooks } from "./books.ts";
import { BARRIERS, WatchLog } from "./independent-log.ts";
import { makeShop } from "./shop.ts";
import { writeShop } from "./writer.ts";

interface Server extends AsyncDisposable {
  readonly url: string;
  readonly dataDir: string | undefined;
  /** @param version as the server tells it */
  readonly describe: (version: string) => string;
}

/** @throws ConfigError when no server can be had */
export async function openMongoShop(directory: string): Promise<ShopDatabase> {
  const server = await openServer(directory);
  const client = new MongoClient(server.url, { serverSelectionTimeoutMS: 10_000 });
  // On a server that has others' data, two runs must not meet.
  const database = `millrace_demo_${process.pid}_${Date.now().toString(36)}`;
  const books = new ShopBooks(client.db(`${database}_ledger`));
  let log: WatchLog | undefined;
  const close = async (): Promise<void> => {
    try {
      await log?.close();
      await client.db(database).dropDatabase();
      await books.drop();
    } finally {
      await client.close();
      await server[Symbol.asyncDispose]();
    }
  };
  try {
    await client.connect();
    const { version } = await client.db("admin").command({ buildInfo: 1 });
    await makeShop(client.db(database));
    await books.make();
    return {
      server: server.describe(String(version)),
      source: { kind: "mongodb", url: server.url, database, collections: ["*", `!${BARRIERS}`] },
      dataDir: server.dataDir,
      ...byTransaction,
      listeners,
      automations: (latency: Latency): readonly Automation[] => shopAutomations(database, books, latency),
      openLog: async (): Promise<IndependentLog> => {
        log = await WatchLog.start(client.db(database));
        return log;
      },
      ledger: () => books.read(),
      write: (signal) => writeShop(client, database, books, signal),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close().catch(() => {}); // the first error tells why
    throw error;
  }
}

async function openServer(directory: string): Promise<Server> {
  const named = process.env.MONGODB_URI;
  if (named !== undefined && named !== "") {
    const describe = (version: string): string => `MongoDB ${version} at MONGODB_URI`;
    return { url: named, dataDir: undefined, describe, [Symbol.asyncDispose]: async () => {} };
  }
  const secantus = await startSecantus({ dataDir: join(directory, "mongodb"), noopSeconds: 1 });
  return {
    url: secantus.url,
    dataDir: secantus.dataDir,
    describe: (version) => `SecantusDB, which is no MongoDB and speaks its protocol as version ${version}`,
    [Symbol.asyncDispose]: () => secantus[Symbol.asyncDispose](),
  };
}
