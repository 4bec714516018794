// `millrace check` of a Postgres source: goes through all preconditions with the worker's own role, and changes nothing.

import type { ClientConfig } from "pg";
import { ConfigError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { about, type Finding, findingOf } from "../../../telemetry/finding.ts";
import type { CheckContext } from "../../connector.ts";
import { translateError } from "../client/errors.ts";
import { clientConfig, identify, Session } from "../client/session.ts";
import { readSystem } from "../client/walsender.ts";
import { readChecked, readUnlogged } from "../facts/checked-tables.ts";
import { readCopyRights } from "../facts/copy-rights.ts";
import { namesOf } from "../facts/names.ts";
import { readOutbox } from "../facts/outbox.ts";
import { readPublication } from "../facts/publication.ts";
import { readReselect } from "../facts/reselect.ts";
import { readClock, readServer } from "../facts/server.ts";
import { readSlots } from "../facts/slots.ts";
import { readTables, type TableFacts } from "../facts/tables.ts";
import type { PostgresConfig } from "../options/config.ts";
import { readSlotRecord } from "../slot/slot-record.ts";
import { readTransactions } from "../slot/transactions.ts";
import { addressFindings, clockFinding } from "./check-connection.ts";
import { copyFindings, wantedRows } from "./check-copy.ts";
import { failoverFindings } from "./check-failover.ts";
import { outboxFindings } from "./check-outbox.ts";
import { publicationFindings, publishesAny } from "./check-publication.ts";
import { reselectFindings } from "./check-reselect.ts";
import { checkRules } from "./check-rules.ts";
import { serverFindings, versionFinding } from "./check-server.ts";
import { otherSlotFindings, ownSlotFinding } from "./check-slots.ts";
import { tableFindings, unloggedFindings } from "./check-tables.ts";
import { transactionFindings } from "./check-transactions.ts";
import { matchesNothing } from "./match-tables.ts";

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

/** Told as it is read, so that what cannot be read does not hide what was. */
async function* findings({
  id,
  config,
  session,
  client,
  ages,
  saved,
  others,
  copied,
}: Checked): AsyncGenerator<Finding> {
  const identity = await identify(session);
  const version = versionFinding(identity);
  yield version;
  if (version.level === "fail") return;
  const names = namesOf(id, config);
  const slots = await readSlots(session);
  const slot = slots.find(({ name }) => name === names.slot);
  const server = await readServer(session, identity, slots);
  yield* serverFindings(server, slot);
  yield clockFinding(await readClock(session));
  const record = saved === "unknown" ? saved : readSlotRecord(saved);
  yield ownSlotFinding(slot, names, server, record);
  const configured = [names.slot, ...[...others].map(([other, its]) => namesOf(other, its).slot)];
  yield* otherSlotFindings(slots, configured, ages.idleSlotSeconds);
  yield* failoverFindings(server, slots, names.slot);
  yield* transactionFindings(await readTransactions(session), ages.transactionSeconds, server.role);

  const { tables, unmatched } = await readTables(session, config, server.version);
  const started = record !== "unknown" && record?.stage === "created";
  for (const pattern of unmatched) {
    const finding = findingOf(matchesNothing(pattern), "tables");
    // As the start goes: a table that was read and is gone stops no others.
    yield started && pattern.outbox !== true ? { ...finding, level: "warn" } : finding;
  }
  yield* rulesFinding(config, tables);
  yield* unloggedFindings(await readUnlogged(session, config.rulesOf, server.version));
  const publication = await readPublication(session, id, names, tables, server.version);
  const anyIdentity = publishesAny(publication);
  for (const table of await readChecked(session, tables)) {
    const reselects = config.rulesOf(table.schema, table.name)?.reselects === true;
    yield* tableFindings({
      ...table,
      ...(anyIdentity && { identified: true }),
      ...(reselects && { toasted: [] }),
    });
  }
  yield* (await readReselect(session, config.rulesOf, tables)).flatMap(reselectFindings);
  const wanted = wantedRows(config, anyIdentity ? tables : tables.filter(({ identified }) => identified), copied);
  yield* copyFindings(await readCopyRights(session, wanted.tables, server.version), wanted.why);
  yield* outboxFindings(config, await readOutbox(session, config));
  const facts = { version: server.version, slotExists: slot !== undefined, slot: names.slot };
  yield* publicationFindings(publication, tables, facts);

  if (server.mayReplicate) yield await replicationFinding(client);
}

/** Nothing where all is well: the tables' own findings say so. */
function rulesFinding(config: PostgresConfig, found: readonly TableFacts[]): readonly Finding[] {
  try {
    checkRules(config, found);
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
    await readSystem(client);
  } catch (error) {
    return findingOf(error, subject);
  }
  return about(subject).ok("REPLICATION_CONNECTION", "the server accepts one from here");
}
