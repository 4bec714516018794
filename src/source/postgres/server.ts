// What the server and the role must be able to do, asked before anything is changed.

import { ConfigError } from "../../errors.ts";
import type { Session } from "./session.ts";
import { quoteIdentifier } from "./sql.ts";

export interface Server {
  readonly version: number;
  readonly database: string;
  readonly role: string;
}

const OLDEST = 140_000;
/** From here on a logical slot raises the WAL level by itself. */
const RAISES_WAL_LEVEL = 190_000;

const facts = `
  SELECT current_setting('server_version_num')::int AS version,
    current_setting('server_version') AS version_text,
    current_setting('wal_level') AS wal_level,
    current_setting('server_encoding') AS encoding,
    current_database() AS database,
    current_user AS role,
    EXISTS (SELECT FROM pg_roles r WHERE r.rolname = current_user AND (r.rolreplication OR r.rolsuper))
      OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(current_user, r.oid, 'MEMBER'))
      AS may_replicate`;

/** @throws ConfigError SERVER_TOO_OLD, WAL_LEVEL_NOT_LOGICAL, ROLE_NOT_REPLICATION, ENCODING_UNKNOWN */
export async function checkServer(session: Session): Promise<Server> {
  const [server] = await session.query<{
    version: number;
    version_text: string;
    wal_level: string;
    encoding: string;
    database: string;
    role: string;
    may_replicate: boolean;
  }>(facts);
  if (server === undefined) throw new ConfigError("SERVER_TOO_OLD", "the server does not say what it is");
  if (server.version < OLDEST) {
    throw new ConfigError("SERVER_TOO_OLD", `the server is Postgres ${server.version_text}`, {
      hint: "Millrace needs Postgres 14 or newer.",
    });
  }
  if (server.wal_level !== "logical" && (server.version < RAISES_WAL_LEVEL || server.wal_level === "minimal")) {
    throw new ConfigError("WAL_LEVEL_NOT_LOGICAL", `the server's wal_level is ${server.wal_level}`, {
      hint: "Run ALTER SYSTEM SET wal_level = 'logical' and restart the server (on RDS: the parameter rds.logical_replication = 1).",
    });
  }
  if (!server.may_replicate) {
    throw new ConfigError("ROLE_NOT_REPLICATION", `the role ${server.role} may not replicate`, {
      hint: `Run ALTER ROLE ${quoteIdentifier(server.role)} REPLICATION (on RDS: GRANT rds_replication TO ${quoteIdentifier(server.role)}).`,
    });
  }
  if (server.encoding === "SQL_ASCII") {
    throw new ConfigError("ENCODING_UNKNOWN", `the database ${server.database} has the encoding SQL_ASCII`, {
      hint: "Its texts have no known encoding, and JSON needs one: move it to a database with the encoding UTF8.",
    });
  }
  return { version: server.version, database: server.database, role: server.role };
}
