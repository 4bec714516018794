// The SQL that a DBA runs for a source: its role with no more than it needs, and its publication. Made here, run by a person.

import type { SourceId } from "../../../event/source-id.ts";
import { isStatement } from "../../../telemetry/finding.ts";
import { parseConnectionUrl } from "../client/connection-url.ts";
import { clientConfig, Session } from "../client/session.ts";
import { grantSelect, quoteIdentifier, quoteTable } from "../client/sql.ts";
import type { OutboxConfig, PostgresConfig } from "../options/config.ts";
import { isOwnOutbox } from "../options/table-pattern.ts";
import { publicationNameOf, slotNameOf } from "../slot/slot-facts.ts";
import { readPublication } from "../tables/publication-facts.ts";
import { publicationLines } from "../tables/publication-sql.ts";
import { matchesNothing, matchTables, readTables, type SourceTable, withoutIdentity } from "../tables/tables.ts";
import { publicationFindings, publishesAny } from "./check-publication.ts";
import { messageRightsSql } from "./message-rights.ts";

/** A statement that every server takes. */
const ANY_VERSION = 0;

/** Never a superuser's name by mistake: then the url is the administrator's own. */
const DEFAULT_ROLE = "millrace";

interface Names {
  readonly role: string;
  readonly database: string;
}

/** Quoted: the user of the source's url, or `millrace` where that is the administrator or nobody; and its database. */
function namesOf({ url }: Pick<PostgresConfig, "url">): Names {
  const { user, database, parameters } = parseConnectionUrl(url);
  return {
    role: quoteIdentifier(parameters.user === undefined || user === "postgres" ? DEFAULT_ROLE : user),
    database: quoteIdentifier(database),
  };
}

type RoleOptions = Pick<PostgresConfig, "url"> & Partial<Pick<PostgresConfig, "tables">>;

/** The role that a worker shall have. */
export interface WorkerRole {
  readonly name: string;
  readonly exists: boolean;
}

/** @param worker default: the user of the url, or `millrace` where that is the administrator or nobody; to be made */
export function roleSql(config: RoleOptions, worker?: WorkerRole): readonly string[] {
  const { role: own, database } = namesOf(config);
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
    ...publicationLines(publicationNameOf(id, config), tables, ANY_VERSION),
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
  const { tables, unmatched } = await readTables(session, config.tables, await versionOf(session));
  const [pattern] = unmatched;
  if (pattern !== undefined) throw matchesNothing(pattern);
  return tables.find(({ identified }) => identified) ?? (tables[0] as SourceTable);
}

async function versionOf(session: Session): Promise<number> {
  const [server] = await session.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  return server?.version ?? ANY_VERSION;
}

/** What the setting `millrace.outbox` is for such an option; only our own table is what `millrace.emit` writes. */
export function outboxMode(outbox: OutboxConfig | undefined): "delete" | "keep" | "message" {
  if (outbox !== undefined && outbox.table === undefined) return "message";
  if (outbox?.table === undefined || outbox.keepMs === undefined) return "delete";
  return isOwnOutbox(outbox.table) ? "keep" : "delete";
}

/** What tells `millrace.emit` how this source's outbox is set, and lets the worker clean up what is kept. */
export function outboxSql(config: Pick<PostgresConfig, "url" | "outbox">): readonly string[] {
  const { outbox } = config;
  const { role, database } = namesOf(config);
  if (outbox === undefined) return ["-- it has no outbox: set its option `outbox`"];
  const setting = `ALTER DATABASE ${database} SET millrace.outbox = '${outboxMode(outbox)}';`;
  if (outbox.table === undefined || outbox.keepMs === undefined) return [setting];
  const { schema } = outbox.table;
  const table = quoteTable(outbox.table);
  return [
    setting,
    `GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${role};`,
    `GRANT SELECT, DELETE ON ${table} TO ${role}; -- for the clean-up`,
  ];
}

/**
 * What makes the publication, or what an existing one lacks; asks the server for the tables, and changes nothing.
 * @throws ConfigError TABLES_MATCH_NOTHING, TABLE_WITHOUT_IDENTITY, and what a server that cannot be asked throws
 */
export async function publicationSql(id: SourceId, config: PostgresConfig): Promise<readonly string[]> {
  await using session = new Session(clientConfig(id, config.url));
  const version = await versionOf(session);
  const slot = slotNameOf(id, config);
  const name = publicationNameOf(id, config);
  const found = await readTables(session, config.tables, version);
  const { tables } = found;
  const publication = await readPublication(session, id, name, tables, { slot, version });
  const { anonymous } = matchTables(found, config, { anyIdentity: publishesAny(publication) });
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
