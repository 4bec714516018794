// The connector for Postgres: connects, reads the facts, judges them, provides publication and slot, opens the source.

import { MillraceError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { OutboxHome, ReadCollection } from "../capabilities.ts";
import type { Connector } from "../connector.ts";
import type { SourceContext, ToldSchemas } from "../source.ts";
import { carriedImages } from "./check/carried-images.ts";
import { checkPostgres } from "./check/check.ts";
import { judgeAll, judgeOwn } from "./check/judge.ts";
import { translateError } from "./client/errors.ts";
import { clientConfig, identify, Session } from "./client/session.ts";
import { readSystem } from "./client/walsender.ts";
import { openKeySnapshot } from "./commands/key-snapshot.ts";
import { removal } from "./commands/removal.ts";
import { setupText } from "./commands/setup-text.ts";
import { tableSchemas } from "./commands/table-schemas.ts";
import { readAll, readOwn } from "./facts/facts.ts";
import { readSlots } from "./facts/slots.ts";
import { findTables } from "./facts/tables.ts";
import { type PostgresConfig, parsePostgresConfig } from "./options/config.ts";
import { PostgresSource } from "./postgres-source.ts";
import { strangerOf } from "./slot/first-start.ts";
import { checkHome } from "./slot/identity.ts";
import { provideSlot } from "./slot/provide-slot.ts";
import { loadSlotRecord, readSlotRecord } from "./slot/slot-record.ts";
import { SlotRetention } from "./slot/slot-retention.ts";
import { StreamMonitor } from "./slot/stream-monitor.ts";
import { ensurePublication } from "./tables/publication.ts";
import { structuredColumns } from "./tables/structured-columns.ts";

export const postgresConnector = {
  kind: "postgres",
  parse: parsePostgresConfig,
  preflight,
  recognise,
  check: checkPostgres,
  onGap: (config) => config.onGap,
  watch: (id, config) => new SlotRetention(id, config),
  collections: readCollections,
  structuredColumns,
  carriedImages,
  open: openPostgres,
  copiesRows: true,
  remove: removal,
  setupText,
  describeCollections: tableSchemas,
  snapshotKeys: openKeySnapshot,
  outboxHome: (id, config) => (config.outbox === undefined ? undefined : () => homeOf(id, config)),
} satisfies Connector<PostgresConfig>;

const COLUMNS = `
  SELECT attrelid::text AS oid, array_agg(attname::text ORDER BY attnum) AS columns FROM pg_attribute
  WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped GROUP BY attrelid`;

async function readCollections(id: SourceId, config: PostgresConfig): Promise<readonly ReadCollection[]> {
  await using session = new Session(clientConfig(id, config.url));
  const { tables } = await findTables(session, config);
  const found = await session.query<{ oid: string; columns: readonly string[] }>(COLUMNS, [
    tables.map(({ oid }) => oid),
  ]);
  const columns = new Map(found.map((table) => [table.oid, table.columns]));
  return tables.map(({ oid, schema, name }) => {
    const rules = config.rulesOf(schema, name);
    const delivered = (columns.get(oid) ?? []).filter((column) => rules?.column(column) !== "left out");
    return { namespace: schema, name, columns: delivered };
  });
}

async function preflight(id: SourceId, config: PostgresConfig, { memory, accepts }: SourceContext): Promise<void> {
  const client = clientConfig(id, config.url);
  await using session = new Session(client);
  try {
    const server = await identify(session);
    const system = await readSystem(client).catch(translateError);
    const facts = await readAll(session, id, config, server);
    // In this order: a slot that another worker has just made is on record by now.
    const record = await loadSlotRecord(memory);
    const stranger = accepts("foreign") ? undefined : strangerOf(record, server, facts?.slot);
    judgeAll(server, facts, config, record);
    // Behind what the facts say: it may be why.
    if (system instanceof MillraceError) throw system;
    if (stranger !== undefined) throw stranger;
  } catch (error) {
    throw translateError(error);
  }
}

async function recognise(
  id: SourceId,
  config: PostgresConfig,
  saved: Readonly<Record<string, unknown>>,
): Promise<void> {
  const intent = readSlotRecord(saved);
  if (intent === undefined) return;
  await using session = new Session(clientConfig(id, config.url));
  const [slot] = await readSlots(session, intent.slot);
  checkHome(intent, await identify(session), slot?.database);
}

/**
 * Behind a `preflight` of the same attempt, and under the lease: reads and judges again what another worker, or a person, may
 * have changed since, and what nothing would refuse later: record, cluster, slot, tables, publication. What it does not ask
 * again the server refuses by itself (rights, the log's level, free slots and walsenders), or may change as well while a
 * source runs (standbys, rights on tables, the outbox): then the next attempt's `preflight` names it.
 * @throws ConfigError, TransientError, HistoryLostError; nothing is changed before all checks have passed
 */
async function openPostgres(
  id: SourceId,
  config: PostgresConfig,
  context: SourceContext,
  schemas: ToldSchemas,
): Promise<PostgresSource> {
  const client = clientConfig(id, config.url);
  const session = new Session(client);
  try {
    const server = await identify(session);
    const system = await readSystem(client);
    const facts = await readOwn(session, id, config, server);
    const record = await loadSlotRecord(context.memory);
    const { matched, warnings } = judgeOwn(facts, config, record);
    for (const { code, subject, message, fix } of warnings) {
      context.log.warn("source_notice", { source: id, code, fix }, `${subject}: ${message}`);
    }
    const { names, publication } = facts;
    const { version, database } = server;
    const { memory, log, accepts } = context;
    const wanted = {
      ...{ source: id, name: names.publication, tables: matched.tables, kept: matched.anonymous, version, log },
      known: record?.stage === "created" ? record.published : undefined,
    };
    let ensured = false;
    const slot = await provideSlot(record, {
      ...{ ...names, database, found: facts.slot, session, client, system, memory, log, accepts },
      ensurePublication: async (mayCreate) => {
        if (!ensured) await ensurePublication(session, wanted, publication.exists ? publication : undefined, mayCreate);
        ensured = true;
      },
    });
    if (record !== undefined && slot.saved && slot.intent.history !== record.history) context.onAccepted();
    const monitor = new StreamMonitor({ source: id, session, version, log });
    const { rules } = matched;
    return new PostgresSource({ id, config, context, schemas, session, client, slot, server, rules, monitor });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw translateError(error);
  }
}

async function homeOf(id: SourceId, config: PostgresConfig): Promise<OutboxHome> {
  await using session = new Session(clientConfig(id, config.url));
  const { systemId, database } = await identify(session);
  return { database: `${systemId}/${database}`, messages: config.outbox?.table === undefined };
}
