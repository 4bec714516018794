// The connector for DynamoDB Streams: reads what tables there are, judges them, and opens the source.

import { type Clock, realClock } from "../../clock.ts";
import { HistoryLostError, MillraceError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Connector } from "../connector.ts";
import type { SourceContext } from "../source.ts";
import { checkDynamo } from "./check/check.ts";
import { carriedImages, noticesOf, problemsOf } from "./check/judge.ts";
import type { DynamoApi } from "./client/api.ts";
import { connectDynamo } from "./client/connect.ts";
import { countedApi } from "./client/counted-api.ts";
import { SharedTurns } from "./client/describe-turns.ts";
import { translateError } from "./client/errors.ts";
import { patientApi } from "./client/patient-api.ts";
import { RequestRate } from "./client/request-rate.ts";
import { describeTables } from "./commands/describe-tables.ts";
import { removal } from "./commands/removal.ts";
import { dynamoSetupText } from "./commands/setup-text.ts";
import { NAMESPACE } from "./decode/record-decoder.ts";
import { DynamoSource } from "./dynamo-source.ts";
import { readFacts } from "./facts/facts.ts";
import { type DynamoConfig, parseDynamoConfig } from "./options/config.ts";
import { tableFilter } from "./options/table-pattern.ts";
import { StreamRetention } from "./retention/stream-retention.ts";
import { beginRecord } from "./shards/begin-record.ts";
import { checkHome, loadRecord, readRecord, type SourceRecord, withTags } from "./stream-record.ts";

/** How often a command, or a start, asks where it is throttled. */
const THROTTLED_TRIES = 8;

export interface DynamoConnectorOptions {
  readonly connect: (config: DynamoConfig) => Promise<DynamoApi>;
  readonly clock: Clock;
}

/** With what it asks and goes by: a test brings its own. */
export function createDynamoConnector({ connect, clock }: DynamoConnectorOptions) {
  const turns = new SharedTurns(clock);
  const using = async <T>(config: DynamoConfig, work: (api: DynamoApi) => Promise<T>): Promise<T> => {
    const api = await connect(config);
    try {
      return await work(patientApi({ api, clock, turns: turns.of(config), throttledTries: THROTTLED_TRIES }));
    } catch (error) {
      throw error instanceof MillraceError ? error : translateError(error);
    } finally {
      api.close();
    }
  };
  return {
    kind: "dynamodb",
    copiesRows: true,
    parse: parseDynamoConfig,
    preflight: (_, config, { memory, accepts }) =>
      using(config, async (api) => {
        await provideRecord(api, config, await loadRecord(memory), { accepts }, clock);
      }),
    recognise: (_, config, saved) =>
      using(config, async (api) => {
        const record = readRecord(saved);
        if (record !== undefined) await checkHome(api, record, (await readFacts(api, config)).tables);
      }),
    check: async function* (_, config, context) {
      const api = await connect(config);
      try {
        yield* checkDynamo(
          patientApi({ api, clock, turns: turns.of(config), throttledTries: THROTTLED_TRIES }),
          config,
          context,
          clock,
        );
      } finally {
        api.close();
      }
    },
    collections: (_, config) =>
      using(config, async (api) => {
        const { tables } = await readFacts(api, config);
        const changes = tables.filter(({ table }) => table !== config.outbox?.table);
        return changes.map(({ table }) => ({ namespace: NAMESPACE, name: table }));
      }),
    onGap: ({ onGap }) => onGap,
    watch: (_, config, context) => new StreamRetention({ config, connect, clock, turns: turns.of(config), context }),
    open: async (id: SourceId, config, context) => {
      const { memory, log, count } = context;
      const rate = new RequestRate();
      const api = countedApi({ ...{ api: await connect(config), clock, rate }, count });
      try {
        const patient = patientApi({ api, clock, turns: turns.of(config), throttledTries: THROTTLED_TRIES });
        const saved = await loadRecord(memory);
        const { record, notices, accepted } = await provideRecord(patient, config, saved, context, clock);
        if (record !== saved) await memory.save(record);
        if (accepted) context.onAccepted();
        return new DynamoSource({
          id,
          config,
          api,
          clock,
          turns: turns.of(config),
          memory,
          record,
          notices,
          log,
          rate,
        });
      } catch (error) {
        api.close();
        throw error instanceof MillraceError ? error : translateError(error);
      }
    },
    describeCollections: (_, config) => using(config, (api) => describeTables(api, config)),
    remove: removal,
    setupText: dynamoSetupText(connect),
    carriedImages: (_, config, { namespace, name }) =>
      using(config, async (api) => {
        const isRead = namespace === NAMESPACE && name !== config.outbox?.table && tableFilter(config.tables)(name);
        if (!isRead) return undefined;
        const { tables } = await readFacts(api, config, [name]);
        return carriedImages(tables[0], config);
      }),
    outboxHome: (id, { outbox }) =>
      outbox && (async () => ({ database: `a DynamoDB, by the source ${id}`, messages: false })),
  } satisfies Connector<DynamoConfig>;
}

export const dynamoConnector = createDynamoConnector({ connect: connectDynamo, clock: realClock });

/**
 * The one on record, with tables that have come since; a first one; or another one where other tables were accepted. At a first
 * start everything must hold; later a table that lacks something must not stop all others.
 * @throws ConfigError, HistoryLostError
 */
async function provideRecord(
  api: DynamoApi,
  config: DynamoConfig,
  saved: SourceRecord | undefined,
  { accepts }: Pick<SourceContext, "accepts">,
  clock: Clock,
) {
  const facts = await readFacts(api, config);
  const notices = noticesOf(facts, config);
  const [problem] = problemsOf(facts, config);
  if (saved === undefined && problem !== undefined) throw problem.error;
  const begun = async (...given: Parameters<typeof beginRecord>) =>
    withTags(await beginRecord(...given), (table) => facts.untagged.includes(table));
  const begin = { api, config, tables: facts.tables, now: new Date(clock.wall()).toISOString() };
  if (saved === undefined) return { record: await begun(begin), notices, accepted: false };
  try {
    await checkHome(api, saved, facts.tables);
  } catch (lost) {
    if (!(lost instanceof HistoryLostError) || !accepts(lost)) throw lost;
    return { record: await begun({ ...begin, lost }), notices, accepted: true };
  }
  return { record: await begun({ ...begin, saved }), notices, accepted: false };
}
