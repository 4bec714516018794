// The connector for Postgres: checks everything that must hold, provides publication and slot, opens the source.

import type { SourceId } from "../../event/source-id.ts";
import type { Connector, SourceContext } from "../source.ts";
import { type PostgresConfig, parsePostgresConfig } from "./config.ts";
import { translateError } from "./errors.ts";
import { provideSlot } from "./first-start.ts";
import { identifySystem, type System } from "./identity.ts";
import { loadIntent } from "./memory.ts";
import { PostgresSource } from "./postgres-source.ts";
import { ensurePublication } from "./publication.ts";
import { checkServer } from "./server.ts";
import { clientConfig, connectClient, endClient, Session } from "./session.ts";
import { matchTables } from "./tables.ts";

export const postgresConnector: Connector<PostgresConfig> = {
  kind: "postgres",
  parse: parsePostgresConfig,
  open: openPostgres,
};

/** @throws ConfigError, TransientError, HistoryLostError; nothing is changed before all checks have passed */
async function openPostgres(id: SourceId, config: PostgresConfig, context: SourceContext): Promise<PostgresSource> {
  const client = clientConfig(id, config.url);
  const replication = { ...client, replication: "database" };
  const session = new Session(client);
  try {
    const server = await checkServer(session);
    const system = await identify(replication);
    const intent = await loadIntent(context.memory);
    const tables = await matchTables(session, config.tables);
    const publication = config.publication ?? `millrace_${id}`;
    const slot = await provideSlot(intent, {
      slot: config.slot ?? `millrace_${id}`,
      publication,
      database: server.database,
      session,
      replication,
      system,
      memory: context.memory,
      log: context.log,
      adopt: context.adopt,
      ensurePublication: (mayCreate) =>
        ensurePublication(session, { source: id, name: publication, tables, mayCreate, log: context.log }),
    });
    return new PostgresSource({ id, config, context, session, client, slot });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw translateError(error);
  }
}

async function identify(config: ConstructorParameters<typeof Session>[0]): Promise<System> {
  const client = await connectClient(config);
  try {
    return await identifySystem(client);
  } finally {
    await endClient(client);
  }
}
