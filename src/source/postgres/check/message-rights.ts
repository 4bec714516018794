// Who may write logical messages: by default every role, and with that forge what is read of them (docs/security.md).

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
