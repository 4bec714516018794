// The connector for MongoDB.

import { MongoClient, type Timestamp } from "mongodb";
import { ConfigError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Connector, SourceContext } from "../source.ts";
import { translateError } from "./client/errors.ts";
import { MongoSource } from "./mongo-source.ts";
import { collectionFilter } from "./options/collection-pattern.ts";
import { type MongoConfig, parseMongoConfig } from "./options/config.ts";
import { begunOf, loadRecord, readRecord, type StreamRecord } from "./stream-record.ts";

const FIRST_HISTORY = 1;

export const mongoConnector = {
  kind: "mongodb",
  parse: parseMongoConfig,
  preflight: async (_id, config, { memory }) => {
    await using facts = await connect(config);
    const record = await loadRecord(memory);
    if (record !== undefined) checkCluster(record, facts);
  },
  recognise: async (_id, config, saved) => {
    await using facts = await connect(config);
    const record = readRecord(saved);
    if (record !== undefined) checkCluster(record, facts);
  },
  check: async function* (_id, config) {
    try {
      await using facts = await connect(config);
      yield {
        code: "SERVER_VERSION",
        level: "ok",
        subject: "url",
        message: `a replica set, ${facts.setName ?? "sharded"}`,
      } as const;
    } catch (error) {
      const { code, message, hint } = translateError(error);
      yield { code, level: "fail", subject: "url", message, fix: hint ?? "" } as const;
    }
  },
  collections: async (_id, config) => {
    await using facts = await connect(config);
    const reads = collectionFilter(config.collections);
    const lists = config.databases.map(async (namespace) => {
      const found = await facts.client.db(namespace).listCollections({}, { nameOnly: true }).toArray();
      return found.filter(({ name }) => reads(name)).map(({ name }) => ({ namespace, name }));
    });
    return (await Promise.all(lists)).flat();
  },
  onGap: (config) => config.onGap,
  watch: () => ({
    metrics: [],
    full: undefined,
    look: async () => undefined,
    drop: async () => false,
    [Symbol.asyncDispose]: async () => {},
  }),
  open: openMongo,
} satisfies Connector<MongoConfig>;

/** The time of now is on record before the first event is read: killed anywhere, it begins at the same place. */
async function openMongo(id: SourceId, config: MongoConfig, { memory }: SourceContext): Promise<MongoSource> {
  const facts = await connect(config);
  try {
    let record = await loadRecord(memory);
    if (record === undefined) {
      const { setName, operationTime } = facts;
      record = {
        kind: "mongodb",
        history: FIRST_HISTORY,
        start: { t: operationTime.t, i: operationTime.i },
        ...(setName === undefined ? {} : { setName }),
      };
      await memory.save(record);
    }
    checkCluster(record, facts);
    return new MongoSource({ id, config, client: facts.client, begun: begunOf(record) });
  } catch (error) {
    await facts.client.close();
    throw translateError(error);
  }
}

interface ServerFacts extends AsyncDisposable {
  readonly client: MongoClient;
  readonly setName: string | undefined;
  readonly operationTime: Timestamp;
}

/** @throws ConfigError NO_REPLICA_SET, AUTH_FAILED; TransientError */
async function connect({ url }: MongoConfig): Promise<ServerFacts> {
  const client = new MongoClient(url, {
    appName: "millrace",
    serverSelectionTimeoutMS: 10_000,
    socketTimeoutMS: 60_000,
  });
  try {
    await client.connect();
    const hello = await client.db("admin").command({ hello: 1 });
    if (hello.setName === undefined && hello.msg !== "isdbgrid") {
      throw new ConfigError("NO_REPLICA_SET", "the server is no member of a replica set, and has no change streams", {
        hint: "Start mongod with --replSet and run rs.initiate(); one member is enough.",
      });
    }
    const { operationTime } = await client.db("admin").command({ ping: 1 });
    return { client, setName: hello.setName, operationTime, [Symbol.asyncDispose]: () => client.close() };
  } catch (error) {
    await client.close();
    throw translateError(error);
  }
}

function checkCluster({ setName }: StreamRecord, facts: ServerFacts): void {
  if (setName === facts.setName) return;
  throw new ConfigError(
    "SOURCE_OTHER_CLUSTER",
    `the server is of the replica set ${facts.setName}, not of ${setName}`,
    {
      hint: "Name the server that this source was read from, or give the source another id.",
    },
  );
}
