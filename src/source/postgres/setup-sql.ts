// The SQL that a DBA runs for a source: its role with no more than it needs, and its publication. Made here, run by a person.

import type { SourceId } from "../../event/source-id.ts";
import { publicationFindings, readPublication } from "./check-publication.ts";
import { readTables } from "./check-tables.ts";
import type { PostgresConfig } from "./config.ts";
import { createPublication } from "./publication.ts";
import { clientConfig, Session } from "./session.ts";
import { slotNameOf } from "./slots.ts";
import { quoteIdentifier } from "./sql.ts";
import { findTables, matchesNothing, matchTables, type SourceTable } from "./tables.ts";

/** Never a superuser's name by mistake: then the url is the administrator's own. */
const DEFAULT_ROLE = "millrace";

/** For the user of the source's url, or for `millrace` where that is the administrator or nobody. */
export function roleSql({ url }: Pick<PostgresConfig, "url">): readonly string[] {
  const { username, pathname } = new URL(url);
  const named = decodeURIComponent(username);
  const role = quoteIdentifier(named === "" || named === "postgres" ? DEFAULT_ROLE : named);
  const database = decodeURIComponent(pathname.slice(1)) || named;
  return [
    `CREATE ROLE ${role} LOGIN REPLICATION; -- then a password: \\password ${role}`,
    "-- RDS, Aurora: CREATE ROLE … LOGIN; GRANT rds_replication TO … instead",
    `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${role};`,
    "-- it needs no right to read tables: REPLICATION shows it the rows of all published ones",
  ];
}

/** The same for a database that is not there yet, with one table. */
export function exampleSql(
  id: SourceId,
  config: PostgresConfig,
  table: { readonly schema: string; readonly name: string },
): readonly string[] {
  const tables = [{ ...table, partitioned: false }];
  return [
    ...roleSql(config),
    "-- by the owner of the tables; once the database is there, `npx millrace sql publication` names them all:",
    `${createPublication(config.publication ?? `millrace_${id}`, tables)};`,
  ];
}

/** The first table that the patterns name. @throws ConfigError TABLES_MATCH_NOTHING; ConfigError, TransientError */
export async function firstTable(
  id: SourceId,
  config: PostgresConfig,
): Promise<{ readonly schema: string; readonly name: string }> {
  await using session = new Session(clientConfig(id, config.url));
  const { tables, unmatched } = await findTables(session, config.tables);
  const [pattern] = unmatched;
  if (pattern !== undefined) throw matchesNothing(pattern);
  return tables[0] as SourceTable;
}

/**
 * What makes the publication, or what an existing one lacks; asks the server for the tables, and changes nothing.
 * @throws ConfigError TABLES_MATCH_NOTHING, TABLE_WITHOUT_IDENTITY, and what a server that cannot be asked throws
 */
export async function publicationSql(id: SourceId, config: PostgresConfig): Promise<readonly string[]> {
  await using session = new Session(clientConfig(id, config.url));
  await matchTables(session, config);
  const { tables } = await findTables(session, config.tables);
  const name = config.publication ?? `millrace_${id}`;
  const publication = await readPublication(session, id, name, tables, slotNameOf(id, config));
  if (!publication.exists) return [`${createPublication(name, tables)};`];
  const facts = await readTables(session, tables);
  const [server] = await session.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  const findings = publicationFindings({ ...publication, mayMake: false, youngerThanSlot: false }, facts, {
    version: server?.version ?? 0,
    slotExists: false,
    slot: slotNameOf(id, config),
  });
  const lacking = findings.flatMap(({ fix }) => (fix === undefined ? [] : fix.split("\n")));
  return lacking.length > 0 ? lacking : [`-- the publication ${name} lacks nothing`];
}
