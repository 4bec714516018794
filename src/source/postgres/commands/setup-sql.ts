// The SQL that a DBA runs for a source: its role with no more than it needs, and its publication. Made here, run by a person.

import type { SourceId } from "../../../event/source-id.ts";
import { isStatement } from "../../../telemetry/finding.ts";
import { publicationFindings, publishesAny } from "../check/check-publication.ts";
import { matchesNothing, matchTables, withoutIdentity } from "../check/match-tables.ts";
import { DEFAULT_ROLE, messageRightsSql, quotedNames } from "../check/outbox-sql.ts";
import { publicationLines } from "../check/publication-sql.ts";
import { clientConfig, identify, Session } from "../client/session.ts";
import { grantSelect, quoteIdentifier } from "../client/sql.ts";
import { namesOf } from "../facts/names.ts";
import { readPublication } from "../facts/publication.ts";
import { readTables, type SourceTable } from "../facts/tables.ts";
import type { PostgresConfig } from "../options/config.ts";

/** A statement that every server takes. */
const ANY_VERSION = 0;

type RoleOptions = Pick<PostgresConfig, "url"> & Partial<Pick<PostgresConfig, "tables">>;

/** The role that a worker shall have. */
export interface WorkerRole {
  readonly name: string;
  readonly exists: boolean;
}

/** @param worker default: the user of the url, or `millrace` where that is the administrator or nobody; to be made */
export function roleSql(config: RoleOptions, worker?: WorkerRole): readonly string[] {
  const { role: own, database } = quotedNames(config);
  const role = worker === undefined ? own : quoteIdentifier(worker.name);
  const make = [
    `CREATE ROLE ${role} LOGIN REPLICATION; -- then a password: \\password ${role}`,
    "-- RDS, Aurora: CREATE ROLE ... LOGIN; GRANT rds_replication TO ... instead",
  ];
  return [
    ...(worker?.exists ? [`-- the role ${role} is there; it needs LOGIN and REPLICATION`] : make),
    `GRANT CONNECT ON DATABASE ${database} TO ${role};`,
    "-- it needs no right to read tables: REPLICATION shows it the rows of all published ones",
    ...messageRightsSql(role),
    ...reselectSql(config, role),
  ];
}

/** What `toast: "reselect"` needs beyond that; the server is not asked which tables a `*` stands for. */
function reselectSql({ tables = [] }: RoleOptions, role: string): readonly string[] {
  const asking = tables.filter(({ options }) => options?.toast === "reselect");
  if (asking.length === 0) return [];
  const exact = asking.flatMap((item) => item.exact ?? []);
  const open = asking.filter((item) => item.exact === undefined).map(({ text }) => JSON.stringify(text));
  return [
    '-- but for toast: "reselect" (under row level security BYPASSRLS too):',
    ...new Set(exact.flatMap((table) => grantSelect(table, role))),
    ...(open.length > 0 ? [`-- the GRANT for each table of ${open.join(", ")}: npx millrace check`] : []),
  ];
}

/** The same for a database that is not there yet, with one table. */
export function exampleSql(
  id: SourceId,
  config: PostgresConfig,
  table: { readonly schema: string; readonly name: string },
): readonly string[] {
  const tables = [{ ...table, partitioned: false, where: [] }];
  return [
    ...roleSql(config),
    "-- by the owner of the tables; once the database is there, `npx millrace sql publication` names them all:",
    ...publicationLines(namesOf(id, config).publication, tables, ANY_VERSION),
  ];
}

/**
 * For whoever may make roles and tables, as which role a worker shall come: never the one that asks, unless it can do no more
 * than a worker needs. @throws ConfigError, TransientError
 */
export async function workerRole(id: SourceId, config: Pick<PostgresConfig, "url">): Promise<WorkerRole> {
  await using session = new Session(clientConfig(id, config.url));
  const [asking] = await session.query<{ name: string; worker: boolean; taken: boolean }>(
    `SELECT rolname AS name, rolreplication AND NOT (rolsuper OR rolcreaterole OR rolcreatedb) AS worker,
       EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS taken
     FROM pg_roles WHERE rolname = current_user`,
    [DEFAULT_ROLE],
  );
  if (asking?.worker) return { name: asking.name, exists: true };
  return { name: DEFAULT_ROLE, exists: asking?.taken ?? false };
}

/**
 * The first table that the patterns name and that can be published as it is; the first one of all where none can.
 * @throws ConfigError TABLES_MATCH_NOTHING; ConfigError, TransientError
 */
export async function firstTable(
  id: SourceId,
  config: PostgresConfig,
): Promise<{ readonly schema: string; readonly name: string }> {
  await using session = new Session(clientConfig(id, config.url));
  const { version } = await identify(session);
  const { tables, unmatched } = await readTables(session, config, version);
  const [pattern] = unmatched;
  if (pattern !== undefined) throw matchesNothing(pattern);
  return tables.find(({ identified }) => identified) ?? (tables[0] as SourceTable);
}

/**
 * What makes the publication, or what an existing one lacks; asks the server for the tables, and changes nothing.
 * @throws ConfigError TABLES_MATCH_NOTHING, TABLE_WITHOUT_IDENTITY, and what a server that cannot be asked throws
 */
export async function publicationSql(id: SourceId, config: PostgresConfig): Promise<readonly string[]> {
  await using session = new Session(clientConfig(id, config.url));
  const { version } = await identify(session);
  const names = namesOf(id, config);
  const { slot, publication: name } = names;
  const found = await readTables(session, config, version);
  const { tables } = found;
  const publication = await readPublication(session, id, names, tables, version);
  const { anonymous } = matchTables(found, config, publishesAny(publication), false);
  if (anonymous.length > 0) throw withoutIdentity(anonymous);
  if (!publication.exists) return publicationLines(name, tables, version);
  const findings = publicationFindings({ ...publication, mayMake: false, youngerThanSlot: false }, tables, {
    version,
    slotExists: false,
    slot,
  });
  const lines = findings.flatMap(({ fix }) => fix?.split("\n") ?? []);
  const lacking = lines.map((line) => (isStatement(line) ? line : `-- ${line}`));
  return lacking.length > 0 ? lacking : [`-- the publication ${name} lacks nothing`];
}
