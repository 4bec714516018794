// `millrace check` of a Postgres source: goes through all preconditions with the worker's own role, and changes nothing.

import type { ClientConfig } from "pg";
import { ConfigError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import type { CheckContext } from "../../source.ts";
import { connectClient, endClient } from "../client/dial.ts";
import { translateError } from "../client/errors.ts";
import { clientConfig, Session } from "../client/session.ts";
import type { PostgresConfig } from "../options/config.ts";
import { tableRules } from "../options/table-rules.ts";
import { publicationNameOf, readTransactions, slotNameOf } from "../slot/slot-facts.ts";
import { readSlotRecord } from "../slot/slot-record.ts";
import { checkRules } from "../tables/check-rules.ts";
import { readPublication } from "../tables/publication-facts.ts";
import { matchesNothing, readTables, type TableFacts } from "../tables/tables.ts";
import { addressFindings, clockFinding, readClock } from "./check-connection.ts";
import { failoverFindings, readFailover } from "./check-failover.ts";
import { outboxFindings } from "./check-outbox.ts";
import { publicationFindings, publishesAny } from "./check-publication.ts";
import { readReselect, reselectFindings } from "./check-reselect.ts";
import { readServer, serverFindings, versionFinding } from "./check-server.ts";
import { otherSlotFindings, ownSlotFinding, readSlots } from "./check-slots.ts";
import { readChecked, readUnlogged, tableFindings, unloggedFindings } from "./check-tables.ts";
import { transactionFindings } from "./check-transactions.ts";

/** From which age on something is worth a warning. */
interface Ages {
  /** The age of a writing transaction: it keeps a slot from being made, and the log from being dropped. */
  readonly transactionSeconds: number;
  /** The time without a reader of others' slots: one that is started again is no dead one. */
  readonly idleSlotSeconds: number;
}

const AGES: Ages = { transactionSeconds: 300, idleSlotSeconds: 300 };

/** @throws only for bugs: what is wrong with the source, its server included, is a finding */
export async function* checkPostgres(
  id: SourceId,
  config: PostgresConfig,
  { signal, ...context }: CheckContext<PostgresConfig>,
  ages: Ages = AGES,
): AsyncGenerator<Finding> {
  const client = clientConfig(id, config.url);
  const session = new Session(client);
  try {
    yield* addressFindings(config);
    for await (const finding of findings({ id, config, session, client, ages, ...context })) {
      if (signal.aborted) return;
      yield finding;
    }
  } catch (error) {
    yield findingOf(translateError(error), "connection");
  } finally {
    await session[Symbol.asyncDispose]();
  }
}

interface Checked extends Omit<CheckContext<PostgresConfig>, "signal"> {
  readonly id: SourceId;
  readonly config: PostgresConfig;
  readonly session: Session;
  readonly client: ClientConfig;
  readonly ages: Ages;
}

async function* findings({ id, config, session, client, ages, saved, others }: Checked): AsyncGenerator<Finding> {
  const slot = slotNameOf(id, config);
  const server = await readServer(session);
  const version = versionFinding(server);
  yield version;
  if (version.level === "fail") return;
  const slots = await readSlots(session);
  yield* serverFindings(
    server,
    slots.find(({ name }) => name === slot),
  );
  yield clockFinding(await readClock(session));
  const names = { slot, publication: publicationNameOf(id, config) };
  yield ownSlotFinding(slots, names, server, saved === "unknown" ? saved : readSlotRecord(saved));
  const configured = [slot, ...[...others].map(([other, its]) => slotNameOf(other, its))];
  yield* otherSlotFindings(slots, configured, ages.idleSlotSeconds);
  yield* failoverFindings(await readFailover(session, slot), slot);
  yield* transactionFindings(await readTransactions(session), ages.transactionSeconds, server.role);

  const { tables, unmatched } = await readTables(session, config.tables, server.version);
  const started = saved !== "unknown" && readSlotRecord(saved)?.stage === "created";
  for (const pattern of unmatched) {
    const finding = findingOf(matchesNothing(pattern), "tables");
    // As the start goes: a table that was read and is gone stops no others.
    yield started && pattern.outbox !== true ? { ...finding, level: "warn" } : finding;
  }
  yield* rulesFinding(config, tables);
  yield* unloggedFindings(await readUnlogged(session, config.tables, server.version));
  const publication = await readPublication(session, id, names.publication, tables, { slot, version: server.version });
  const anyIdentity = publishesAny(publication);
  const rulesOf = tableRules(config.tables, config.maskKey);
  for (const table of await readChecked(session, tables)) {
    const reselects = rulesOf(table.schema, table.name)?.reselects === true;
    yield* tableFindings({
      ...table,
      ...(anyIdentity && { identified: true }),
      ...(reselects && { toasted: [] }),
    });
  }
  yield* (await readReselect(session, rulesOf, tables)).flatMap(reselectFindings);
  yield* await outboxFindings(session, config);
  const slotExists = slots.some(({ name }) => name === slot);
  yield* publicationFindings(publication, tables, { version: server.version, slotExists, slot });

  if (server.mayReplicate) yield await replicationFinding(client);
}

/** Nothing where all is well: the tables' own findings say so. */
function rulesFinding({ tables, maskKey }: PostgresConfig, found: readonly TableFacts[]): readonly Finding[] {
  try {
    checkRules(tables, tableRules(tables, maskKey), found);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [findingOf(error, "tables")];
  }
}

/** Last: where no walsender is free, this is what fails, and the server's numbers above say why. */
async function replicationFinding(client: ClientConfig): Promise<Finding> {
  const subject = "replication connection";
  try {
    await endClient(await connectClient({ ...client, replication: "database" } as ClientConfig));
  } catch (error) {
    return findingOf(error, subject);
  }
  return about(subject).ok("REPLICATION_CONNECTION", "the server accepts one from here");
}
