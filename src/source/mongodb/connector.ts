// The connector for MongoDB: connects, reads what there is, judges it, and opens the source.

import { HistoryLostError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Connector } from "../connector.ts";
import type { SourceContext } from "../source.ts";
import { carriedImages, openImages } from "./check/carried-images.ts";
import { checkMongo } from "./check/check.ts";
import { problemsOf } from "./check/judge.ts";
import { connectMongo } from "./client/connect.ts";
import { translateError } from "./client/errors.ts";
import { describeCollections } from "./commands/describe-collections.ts";
import { removal } from "./commands/removal.ts";
import { setupText } from "./commands/setup-text.ts";
import { readCollections } from "./facts/collection-facts.ts";
import { type MongoFacts, readFacts } from "./facts/facts.ts";
import { readServer, type ServerFacts } from "./facts/server-facts.ts";
import { MongoSource } from "./mongo-source.ts";
import { OplogRetention } from "./oplog/oplog-retention.ts";
import { collectionRules } from "./options/collection-rules.ts";
import { type MongoConfig, parseMongoConfig } from "./options/config.ts";
import { beginRecord, checkCluster, loadRecord, readRecord, type StreamRecord } from "./record/stream-record.ts";

export const mongoConnector = {
  kind: "mongodb",
  parse: parseMongoConfig,
  preflight: async (id, config, { memory, accepts }) => {
    await using client = await connectMongo(id, config);
    const [facts, record] = [await readFacts(client, config), await loadRecord(memory)];
    judge(facts, config, record);
    if (record !== undefined) provideRecord(record, facts.server, config, { accepts });
  },
  recognise: async (id, config, saved) => {
    const record = readRecord(saved);
    if (record === undefined) return;
    await using client = await connectMongo(id, config);
    checkCluster(record, await readServer(client).catch(rethrow), config);
  },
  check: checkMongo,
  collections: async (id, config) => {
    await using client = await connectMongo(id, config);
    return await readCollections(client, config).catch(rethrow); // before the client ends
  },
  onGap: (config) => config.onGap,
  watch: (id, config) => new OplogRetention(id, config),
  open: openMongo,
  carriedImages: async (id, config, of) => {
    if (!collectionRules(config).reads(of.namespace, of.name) || openImages(of).length === 0) return undefined;
    // What a lookup brings needs nothing of the collection.
    if (openImages(of).every((image) => config.images[image] === "lookup")) return carriedImages(config, of, undefined);
    await using client = await connectMongo(id, config);
    const found = await readCollections(client, config).catch(rethrow);
    return carriedImages(
      config,
      of,
      found.find(({ namespace, name }) => namespace === of.namespace && name === of.name),
    );
  },
  copiesRows: true,
  remove: removal,
  setupText,
  describeCollections,
  // Triggers on domain events need to know that there are some; no database of tx() is ever this one.
  outboxHome: (id, { outbox }) =>
    outbox && (async () => ({ database: `a MongoDB, by the source ${id}`, messages: false })),
} satisfies Connector<MongoConfig>;

/** The time of now is on record before the first event is read: killed anywhere, it begins at the same place. */
async function openMongo(id: SourceId, config: MongoConfig, context: SourceContext): Promise<MongoSource> {
  const { memory, log } = context;
  const client = await connectMongo(id, config);
  try {
    const facts = await readFacts(client, config);
    const saved = await loadRecord(memory);
    judge(facts, config, saved);
    const record = provideRecord(saved, facts.server, config, context);
    if (record !== saved) await memory.save(record);
    if (saved !== undefined && record !== saved) context.onAccepted();
    return new MongoSource({ id, config, client, memory, log, count: context.count, record });
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
}

/** The one on record; a first one; or the next one, where another cluster was accepted. @throws HistoryLostError */
function provideRecord(
  saved: StreamRecord | undefined,
  server: ServerFacts,
  config: MongoConfig,
  { accepts }: Pick<SourceContext, "accepts">,
): StreamRecord {
  if (saved === undefined) return beginRecord(server, config);
  try {
    checkCluster(saved, server, config);
    return saved;
  } catch (lost) {
    if (!(lost instanceof HistoryLostError) || !accepts(lost)) throw lost;
    return beginRecord(server, config, { history: saved.history, lost });
  }
}

function isOfCollection(subject: string): boolean {
  return subject.startsWith("collection ");
}

function rethrow(error: unknown): never {
  throw translateError(error);
}
