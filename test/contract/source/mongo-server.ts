// A server of MongoDB's protocol, for the contract: read through a proxy, so that connections can be cut.

import type { Db, MongoClient } from "mongodb";
import { mongoConnector } from "../../../src/source/mongodb/connector.ts";
import type { Connector } from "../../../src/source/source.ts";
import { freshMongoDatabase } from "../../support/mongodb/mongo-servers.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { realTime } from "../../support/virtual-time.ts";
import type { Row, SourceServer } from "./source-server.ts";

/** What is held against the contract. */
export interface MongoTarget {
  /** The url of one server, with host and port. */
  readonly url: () => Promise<string>;
  /** Makes it forget its log; absent where the server is not the tests' own. */
  readonly loseLog?: (client: MongoClient) => Promise<void>;
}

/** More than a message's headers may have. */
const LONG_KEY = `0-poison${"x".repeat(100_000)}`;

export function mongoServer({ url, loseLog }: MongoTarget): SourceServer {
  return {
    connector: mongoConnector as Connector<unknown>,
    time: realTime,
    lines: 1,
    ...(loseLog === undefined ? { keepsLog: "the server's oplog is not the tests' to lose" } : {}),
    nowhere: () => ({ url: "mongodb://127.0.0.1:1/", database: "nothing" }),
    wrong: [
      [{ url: 5, database: "shop" }, ".url"],
      [{ url: "mongodb://a", database: "shop", collections: [] }, ".collections"],
      [{ url: "mongodb://a", database: "shop", images: { after: "perhaps" } }, ".images.after"],
    ],
    bounds: { chunkBytes: 1024 * 1024, aheadBytes: 24 * 1024 * 1024 },
    fresh: async () => {
      const database = await freshMongoDatabase(await url());
      const { client, db } = database;
      const proxy = await TcpProxy.start(Number(new URL(database.url).port));
      await db.createCollection("orders", { changeStreamPreAndPostImages: { enabled: true } });
      const insert = (rows: readonly Row[]): Promise<void> => insertTogether(client, db, rows);
      return {
        section: (options) => ({
          url: proxy.url(database.url),
          database: database.name,
          collections: ["orders*"],
          images: { before: "stored", after: "stored" },
          ...options,
        }),
        commit: (_, rows) => insert(rows),
        cut: async () => proxy.cut(),
        loseLog: async () => loseLog?.(client),
        sentBytes: async () => proxy.bytesDown,
        contents: () => contentsOf(db),
        poison: (before, behind) => insert([{ key: before }, { key: LONG_KEY }, { key: behind }]),
        leaveOut: async () => {
          await db.createCollection("orders_without_images");
        },
        [Symbol.asyncDispose]: async () => {
          await proxy[Symbol.asyncDispose]();
          await database[Symbol.asyncDispose]();
        },
      };
    },
  };
}

async function insertTogether(client: MongoClient, db: Db, rows: readonly Row[]): Promise<void> {
  const orders = db.collection<{ _id: string; text: string }>("orders");
  const documents = rows.map(({ key, text = "" }) => ({ _id: key, text }));
  if (documents.length === 1) await orders.insertMany(documents);
  else await client.withSession((session) => session.withTransaction(() => orders.insertMany(documents, { session })));
}

async function contentsOf(db: Db): Promise<unknown> {
  const collections = await db.listCollections({}, { nameOnly: false }).toArray();
  collections.sort((a, b) => (a.name < b.name ? -1 : 1));
  return Promise.all(
    collections.map(async ({ name, options }) => [name, options, await db.collection(name).countDocuments()]),
  );
}
