// The connector for MongoDB: connects, reads what there is, judges it, and opens the source.

import type { SourceId } from "../../event/source-id.ts";
import type { Connector, SourceContext } from "../source.ts";
import { checkMongo } from "./check/check.ts";
import { problemsOf } from "./check/judge.ts";
import { connectMongo } from "./client/connect.ts";
import { translateError } from "./client/errors.ts";
import { readCollections } from "./facts/collection-facts.ts";
import { type MongoFacts, readFacts } from "./facts/facts.ts";
import { readServer } from "./facts/server-facts.ts";
import { MongoSource } from "./mongo-source.ts";
import { OplogRetention } from "./oplog/oplog-retention.ts";
import { type MongoConfig, parseMongoConfig } from "./options/config.ts";
import { beginRecord, begunOf, checkCluster, loadRecord, readRecord, type StreamRecord } from "./stream-record.ts";

export const mongoConnector = {
  kind: "mongodb",
  parse: parseMongoConfig,
  preflight: async (id, config, { memory }) => {
    await using client = await connectMongo(id, config);
    judge(await readFacts(client, config), config, await loadRecord(memory));
  },
  recognise: async (id, config, saved) => {
    const record = readRecord(saved);
    if (record === undefined) return;
    await using client = await connectMongo(id, config);
    checkCluster(record, await readServer(client).catch(rethrow));
  },
  check: checkMongo,
  collections: async (id, config) => {
    await using client = await connectMongo(id, config);
    return readCollections(client, config).catch(rethrow);
  },
  onGap: (config) => config.onGap,
  watch: (id, config) => new OplogRetention(id, config),
  open: openMongo,
} satisfies Connector<MongoConfig>;

/** The time of now is on record before the first event is read: killed anywhere, it begins at the same place. */
async function openMongo(id: SourceId, config: MongoConfig, { memory }: SourceContext): Promise<MongoSource> {
  const client = await connectMongo(id, config);
  try {
    const facts = await readFacts(client, config);
    const saved = await loadRecord(memory);
    judge(facts, config, saved);
    const record = saved ?? beginRecord(facts.server);
    if (saved === undefined) await memory.save(record);
    return new MongoSource({ id, config, client, begun: begunOf(record) });
  } catch (error) {
    await client.close();
    throw translateError(error);
  }
}

/**
 * At a first start everything must hold. Later a collection that lacks something must not stop all others: its events say so.
 * @throws ConfigError, HistoryLostError
 */
function judge(facts: MongoFacts, config: MongoConfig, record: StreamRecord | undefined): void {
  const [first] = problemsOf(facts, config).filter(({ subject }) => record === undefined || !isOfCollection(subject));
  if (first !== undefined) throw first.error;
  if (record !== undefined) checkCluster(record, facts.server);
}

function isOfCollection(subject: string): boolean {
  return subject.startsWith("collection ");
}

function rethrow(error: unknown): never {
  throw translateError(error);
}
