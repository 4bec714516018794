// What a copy of a Postgres source is given of that source.

import type { ClientConfig } from "pg";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { Session } from "../client/session.ts";
import type { Described } from "../decode/described-tables.ts";
import type { Relation } from "../decode/table.ts";
import type { PostgresConfig } from "../options/config.ts";
import type { RuleBook } from "../options/rule-book.ts";

export interface CopierOptions {
  readonly source: SourceId;
  readonly log: Logger;
  readonly client: ClientConfig;
  readonly session: Session;
  readonly rules: RuleBook;
  readonly outbox: PostgresConfig["outbox"];
  readonly publication: () => string;
  /** The server's version, as `server_version_num`. */
  readonly version: number;
  /** Whether the configuration wants rows of some table to be copied once. */
  readonly copies: boolean;
  /** The database that oids are of. */
  readonly database: () => string;
  /** Of the log's life: what positions begin with. */
  readonly history: () => number;
  /** What the catalog says of a table beside its columns, with all that is hidden of it. @throws TransientError */
  readonly describe: (relation: Relation) => Promise<Described>;
}
