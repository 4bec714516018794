// The connector for Postgres: checks everything that must hold, provides publication and slot, opens the source.

import type { Client, ClientConfig } from "pg";
import type { SourceId } from "../../event/source-id.ts";
import { type Finding, findingOf } from "../../telemetry/finding.ts";
import type { OutboxHome } from "../capabilities.ts";
import type { Connector, SourceContext, ToldSchemas } from "../source.ts";
import { checkPostgres } from "./check/check.ts";
import { failoverFindings, readFailover } from "./check/check-failover.ts";
import { outboxFindings } from "./check/check-outbox.ts";
import { partitionFindings } from "./check/check-partitions.ts";
import { publicationFindings, publishesAny } from "./check/check-publication.ts";
import { readReselect, reselectFindings } from "./check/check-reselect.ts";
import { readServer, type ServerFacts, serverFindings, versionFinding } from "./check/check-server.ts";
import { refuse } from "./check/refuse.ts";
import { connectClient, endClient } from "./client/dial.ts";
import { translateError } from "./client/errors.ts";
import { clientConfig, Session } from "./client/session.ts";
import { openKeySnapshot } from "./commands/key-snapshot.ts";
import { removal } from "./commands/removal.ts";
import { setupText } from "./commands/setup-text.ts";
import { tableSchemas } from "./commands/table-schemas.ts";
import { type PostgresConfig, parsePostgresConfig } from "./options/config.ts";
import { tableRules } from "./options/table-rules.ts";
import { PostgresSource } from "./postgres-source.ts";
import { slotUnknown } from "./slot/first-start.ts";
import { checkHome, identifySystem, type System, timelineEnd } from "./slot/identity.ts";
import { provideSlot } from "./slot/provide-slot.ts";
import { findSlot } from "./slot/slot.ts";
import { publicationNameOf, slotNameOf } from "./slot/slot-facts.ts";
import { loadSlotRecord, readSlotRecord, type SlotRecord } from "./slot/slot-record.ts";
import { SlotRetention } from "./slot/slot-retention.ts";
import { ensurePublication } from "./tables/publication.ts";
import { readPublication } from "./tables/publication-facts.ts";
import { structuredColumns } from "./tables/structured-columns.ts";
import {
  findTables,
  type MatchedTables,
  matchesNothing,
  matchTables,
  readTables,
  withoutIdentity,
} from "./tables/tables.ts";

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
  open: openPostgres,
  remove: removal,
  setupText,
  describeCollections: tableSchemas,
  snapshotKeys: openKeySnapshot,
  outboxHome: (id, config) => (config.outbox === undefined ? undefined : () => homeOf(id, config)),
} satisfies Connector<PostgresConfig>;

async function readCollections(
  id: SourceId,
  config: PostgresConfig,
): Promise<readonly { readonly namespace: string; readonly name: string }[]> {
  await using session = new Session(clientConfig(id, config.url));
  const { tables } = await findTables(session, config.tables);
  return tables.map(({ schema, name }) => ({ namespace: schema, name }));
}

async function preflight(id: SourceId, config: PostgresConfig, { memory, accepts }: SourceContext): Promise<void> {
  const client = clientConfig(id, config.url);
  const session = new Session(client);
  try {
    const intent = await loadSlotRecord(memory);
    const { server } = await check(id, config, session, forReplication(client), intent);
    const slot = await findSlot(session, slotNameOf(id, config));
    if (intent?.stage === "created" && !accepts("foreign")) checkHome(intent, server, slot?.database);
    // In this order: a slot that another worker has just made is on record by now.
    if (slot !== undefined && !accepts("foreign") && (await loadSlotRecord(memory)) === undefined)
      throw slotUnknown(slot.name);
  } catch (error) {
    throw translateError(error);
  } finally {
    await session[Symbol.asyncDispose]();
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
  const server = await readServer(session);
  checkHome(intent, server, (await findSlot(session, intent.slot))?.database);
}

/** @throws ConfigError, TransientError, HistoryLostError; nothing is changed before all checks have passed */
async function openPostgres(
  id: SourceId,
  config: PostgresConfig,
  context: SourceContext,
  schemas: ToldSchemas,
): Promise<PostgresSource> {
  const client = clientConfig(id, config.url);
  const replication = forReplication(client);
  const session = new Session(client);
  try {
    const intent = await loadSlotRecord(context.memory);
    const { server, system, matched, warnings } = await check(id, config, session, replication, intent);
    for (const { code, subject, message, fix } of warnings) {
      context.log.warn("source_notice", { source: id, code, fix }, `${subject}: ${message}`);
    }
    const { tables, anonymous: kept } = matched;
    const publication = publicationNameOf(id, config);
    const known = intent?.stage === "created" ? intent.published : undefined;
    const slot = await provideSlot(intent, {
      slot: slotNameOf(id, config),
      publication,
      database: server.database,
      session,
      replication,
      system,
      memory: context.memory,
      log: context.log,
      accepts: context.accepts,
      switchedAt: async ({ systemId, timeline }) => {
        if (systemId !== system.systemId || timeline === system.timeline) return undefined;
        return withReplication(replication, (walsender) => timelineEnd(walsender, system.timeline, timeline));
      },
      ensurePublication: (mayCreate) =>
        ensurePublication(
          session,
          { source: id, name: publication, tables, kept, known, version: server.version, log: context.log },
          mayCreate,
        ),
    });
    if (intent !== undefined && slot.saved && slot.intent.history !== intent.history) context.onAccepted();
    return new PostgresSource({ id, config, context, schemas, session, client, slot, version: server.version });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw translateError(error);
  }
}

function forReplication(client: ClientConfig): ClientConfig {
  return { ...client, replication: "database" } as ClientConfig;
}

interface Checked {
  readonly server: ServerFacts;
  readonly system: System;
  readonly matched: MatchedTables;
  /** What a start says and goes on with. */
  readonly warnings: readonly Finding[];
}

/** In the order of `millrace check`. What is gone, and must not be made anew in silence, is told later: see provide-slot.ts. */
async function check(
  id: SourceId,
  config: PostgresConfig,
  session: Session,
  replication: ClientConfig,
  intent: SlotRecord | undefined,
): Promise<Checked> {
  const server = await readServer(session);
  refuse([versionFinding(server)]);
  const name = slotNameOf(id, config);
  const slot = await findSlot(session, name);
  refuse(serverFindings(server, slot));
  refuse(failoverFindings(await readFailover(session, name), name));
  const system = await withReplication(replication, identifySystem);
  const { version } = server;
  const found = await readTables(session, config.tables, version);
  const { tables } = found;
  const publicationName = publicationNameOf(id, config);
  const publication = await readPublication(session, id, publicationName, tables, { slot: name, version });
  const anyIdentity = publishesAny(publication);
  const matched = matchTables(found, config, { anyIdentity, started: intent?.stage === "created" });
  // At a first start nothing is left out in silence. Later a table that somebody made must not stop all others.
  if (matched.anonymous.length > 0 && intent?.stage !== "created") throw withoutIdentity(matched.anonymous);
  const partitions = anyIdentity ? [] : tables.flatMap(partitionFindings);
  if (intent?.stage !== "created") refuse(partitions);
  // One that the worker may change, it mends by itself: what breaks the application's writes is taken out of it.
  if ((publication.exists || slot === undefined) && !publication.mayMake) {
    refuse(publicationFindings(publication, tables, { version, slotExists: false, slot: name }));
  }
  const rulesOf = tableRules(config.tables, config.maskKey);
  refuse((await readReselect(session, rulesOf, matched.tables)).flatMap(reselectFindings));
  refuse(await outboxFindings(session, config));
  const gone = matched.gone.map((pattern) => findingOf(matchesNothing(pattern), "tables"));
  return { server, system, matched, warnings: [...gone, ...partitions] };
}

async function homeOf(id: SourceId, config: PostgresConfig): Promise<OutboxHome> {
  await using session = new Session(clientConfig(id, config.url));
  const [row] = await session.query<{ home: string }>(
    "SELECT system_identifier::text || '/' || current_database() AS home FROM pg_control_system()",
  );
  return { database: row?.home ?? "", messages: config.outbox?.table === undefined };
}

async function withReplication<Result>(
  config: ClientConfig,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = await connectClient(config);
  try {
    return await use(client);
  } finally {
    await endClient(client);
  }
}
