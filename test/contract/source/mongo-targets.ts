// What the MongoDB connector is held against the contract on: a server of MongoDB's protocol, and our wire double.

import type { Db, MongoClient } from "mongodb";
import { MongoDouble } from "../../support/mongodb/double/mongodb-double.ts";
import { freshMongoDatabase, freshSecantus } from "../../support/mongodb/mongo-servers.ts";
import { foreignMongo } from "../../support/mongodb/mongo-target.ts";
import type { MongoShop, MongoTarget, Order } from "./mongo-server.ts";

/** More than any test writes, and less than is written to lose them. */
const OPLOG_ENTRIES = 3000;

/** The server that MONGODB_URI names, else a SecantusDB. */
export function serverTarget(): MongoTarget {
  let server: Promise<string> | undefined;
  const url = (): Promise<string> => {
    server ??=
      foreignMongo === undefined
        ? freshSecantus({ oplogEntries: OPLOG_ENTRIES }).then((own) => own.url)
        : Promise.resolve(foreignMongo);
    return server;
  };
  return {
    ...(foreignMongo === undefined
      ? {}
      : { keepsLog: "the oplog of the server that MONGODB_URI names is not ours to lose" }),
    fresh: async () => shopOn(await url()),
  };
}

async function shopOn(url: string): Promise<MongoShop> {
  const database = await freshMongoDatabase(url);
  const { client, db, name } = database;
  await db.createCollection("orders", { changeStreamPreAndPostImages: { enabled: true } });
  return {
    url,
    database: name,
    insert: (orders) => insertTogether(client, db, orders),
    loseLog: async () => {
      const noise = client.db("noise").collection("noise");
      for (let left = OPLOG_ENTRIES; left >= 0; left -= 1000)
        await noise.insertMany(Array.from({ length: 1000 }, () => ({})));
      await client.db("admin").command({ "secantusAdmin.pruneOplog": 1 });
    },
    contents: () => contentsOf(db),
    createPlain: async (collection) => {
      await db.createCollection(collection);
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

async function insertTogether(client: MongoClient, db: Db, orders: readonly Order[]): Promise<void> {
  const collection = db.collection<Order>("orders");
  if (orders.length === 1) await collection.insertMany([...orders]);
  else
    await client.withSession((session) =>
      session.withTransaction(() => collection.insertMany([...orders], { session })),
    );
}

async function contentsOf(db: Db): Promise<unknown> {
  const collections = await db.listCollections({}, { nameOnly: false }).toArray();
  collections.sort((a, b) => (a.name < b.name ? -1 : 1));
  return Promise.all(
    collections.map(async ({ name, options }) => [name, options, await db.collection(name).countDocuments()]),
  );
}

/** A wire double for each database. */
export const doubleTarget: MongoTarget = {
  fresh: async () => {
    const double = await MongoDouble.start();
    const { oplog } = double;
    oplog.create("shop", "orders", true);
    return {
      url: double.url,
      database: "shop",
      insert: async (orders) =>
        oplog.write(
          "shop",
          orders.map((document) => ({ insert: "orders", document: { ...document } })),
        ),
      loseLog: async () => oplog.truncate(),
      contents: async () =>
        [...oplog.collections].map(([place, { images, documents }]) => [place, images, documents.size]),
      createPlain: async (collection) => {
        oplog.create("shop", collection);
      },
      [Symbol.asyncDispose]: () => double[Symbol.asyncDispose](),
    };
  },
};
