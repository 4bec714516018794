// The SQL that sets an outbox up for the worker's role; and who may write logical messages: by default every role, and with
// that forge what is read of them (docs/security.md).

import { parseConnectionUrl } from "../client/connection-url.ts";
import { quoteIdentifier, quoteTable } from "../client/sql.ts";
import type { PostgresConfig } from "../options/config.ts";

/** Never a superuser's name by mistake: then the url is the administrator's own. */
export const DEFAULT_ROLE = "millrace";

interface Names {
  readonly role: string;
  readonly database: string;
}

/** Quoted: the user of the source's url, or `millrace` where that is the administrator or nobody; and its database. */
export function quotedNames({ url }: Pick<PostgresConfig, "url">): Names {
  const { user, database, parameters } = parseConnectionUrl(url);
  return {
    role: quoteIdentifier(parameters.user === undefined || user === "postgres" ? DEFAULT_ROLE : user),
    database: quoteIdentifier(database),
  };
}

/** What tells `millrace.emit` how this source's outbox is set, and lets the worker clean up what is kept. */
export function outboxSql(config: Pick<PostgresConfig, "url" | "outbox">): readonly string[] {
  const { outbox } = config;
  const { role, database } = quotedNames(config);
  if (outbox === undefined) return ["-- it has no outbox: set its option `outbox`"];
  const setting = `ALTER DATABASE ${database} SET millrace.outbox = '${outbox.setting}';`;
  if (outbox.table === undefined || outbox.keepMs === undefined) return [setting];
  const { schema } = outbox.table;
  const table = quoteTable(outbox.table);
  return [
    setting,
    "-- the worker's role: it is made by what `millrace sql role` prints",
    `GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${role};`,
    `GRANT SELECT, DELETE ON ${table} TO ${role}; -- for the clean-up`,
  ];
}

/** From here on it has a fourth parameter. */
const FLUSHES = 170_000;

/** Its two overloads, as GRANT and REVOKE name them. @param version of the server, as `server_version_num` */
function messageFunctions(version: number): string {
  const flush = version >= FLUSHES ? ", boolean" : "";
  const name = "pg_catalog.pg_logical_emit_message";
  return `${name}(boolean, text, text${flush}), ${name}(boolean, text, bytea${flush})`;
}

/** @param role quoted */
export function grantMessages(version: number, role: string): string {
  return `GRANT EXECUTE ON FUNCTION ${messageFunctions(version)} TO ${role};`;
}

export function revokeMessages(version: number): string {
  return `REVOKE EXECUTE ON FUNCTION ${messageFunctions(version)} FROM PUBLIC;`;
}

/** For a server whose version is not asked, as comments: who else writes messages must be given the right first. @param role quoted */
export function messageRightsSql(role: string): readonly string[] {
  return [
    "-- Every role may write logical messages, and so forge what is read of them (docs/security.md). A superuser narrows",
    "-- that, in this database (on Postgres 14 to 16 without the last boolean), for each role that is to write them:",
    `-- ${grantMessages(FLUSHES, role)}`,
    "-- and then:",
    `-- ${revokeMessages(FLUSHES)}`,
  ];
}
