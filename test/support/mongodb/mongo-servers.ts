// Servers of MongoDB's protocol for one test file, and databases of them.

import { join } from "node:path";
import { type Db, MongoClient } from "mongodb";
import { type SecantusOptions, startSecantus } from "../../../src/dev/secantus.ts";
import type { DevServer } from "../../../src/dev/server-process.ts";
import { atEnd, scratchDir } from "../servers.ts";
import { foreignMongo } from "./mongo-target.ts";

/** A SecantusDB of its own, ended with the file or when disposed of. */
export async function freshSecantus(options: Omit<SecantusOptions, "dataDir"> = {}): Promise<DevServer> {
  const server = await startSecantus({ ...options, dataDir: join(await scratchDir(), "mongo") });
  atEnd(() => server.kill());
  return server;
}

export interface MongoDatabase extends AsyncDisposable {
  /** Of its server. */
  readonly url: string;
  readonly name: string;
  readonly client: MongoClient;
  readonly db: Db;
}

let shared: Promise<string> | undefined;
let databases = 0;

/** A database that no other test knows; disposing of it drops it. @param url of its server; default: the run's target */
export async function freshMongoDatabase(url?: string): Promise<MongoDatabase> {
  const host = url ?? (await sharedMongo());
  const client = new MongoClient(host, { serverSelectionTimeoutMS: 5000 });
  const name = `test_${process.pid}_${++databases}`;
  const db = client.db(name);
  return {
    url: host,
    name,
    client,
    db,
    [Symbol.asyncDispose]: async () => {
      try {
        await db.dropDatabase();
      } finally {
        await client.close();
      }
    },
  };
}

/** The url of the file's own, or of the foreign one. */
export function sharedMongo(): Promise<string> {
  if (shared === undefined) {
    shared = foreignMongo === undefined ? freshSecantus().then(({ url }) => url) : Promise.resolve(foreignMongo);
    atEnd(async () => {
      shared = undefined;
    });
  }
  return shared;
}
