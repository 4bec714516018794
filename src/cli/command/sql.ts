// `millrace sql`: prints what a DBA runs, and changes nothing.

import type { SourceId } from "../../event/source-id.ts";
import { migrationSql } from "../../outbox/migration-sql.ts";
import { messageRightsSql } from "../../source/postgres/check/message-rights.ts";
import { outboxSql, publicationSql, roleSql } from "../../source/postgres/check/setup-sql.ts";
import { eventTriggerSql } from "../../source/postgres/commands/event-trigger-sql.ts";
import type { PostgresConfig } from "../../source/postgres/options/config.ts";
import { redact } from "../../telemetry/redact.ts";
import { postgresSources } from "../common/postgres-sources.ts";
import { printable } from "../common/terminal.ts";

export type SqlSubject = "role" | "publication" | "outbox" | "inbox" | "event-triggers";

export interface SqlOptions {
  readonly what: SqlSubject;
  readonly config?: string | undefined;
  /** Undefined means all. */
  readonly source?: string | undefined;
  readonly print: (line: string) => Promise<void>;
}

/** @throws ConfigError, TransientError */
export async function sql({ what, config: file, source, print }: SqlOptions): Promise<void> {
  if (what === "inbox") return await printTables("inbox", "that tx() of an automation works as", print);
  const sources = await postgresSources(file, source);
  if (what === "outbox") await printTables("outbox", "that writes events", print);
  for (const { id, config } of sources) {
    await print(`-- source ${id}: for ${readers[what]}, in the database of the source's url`);
    for (const line of await linesOf[what](id, config)) await print(printable(redact(line)));
  }
}

/** What is the same for all sources: the migrations, and what the application's own roles need. */
async function printTables(what: "outbox" | "inbox", which: string, print: SqlOptions["print"]): Promise<void> {
  await print(`-- for the owner of the database\n${migrationSql(what)}`);
  await print(`-- for each role ${which}, with its name in place of <role>:`);
  await print("-- GRANT USAGE ON SCHEMA millrace TO <role>;");
  await print(`-- GRANT SELECT, INSERT, DELETE ON millrace.${what} TO <role>;`);
  for (const line of messageRightsSql("<role>")) await print(line);
  if (what === "inbox")
    await print("-- and, where it emits events, what `millrace sql outbox` says of roles that write them");
}

const readers = {
  role: "an administrator",
  publication: "the owner of the tables",
  outbox: "the owner of the database",
  "event-triggers": "a superuser",
} as const;

const linesOf: Readonly<
  Record<
    Exclude<SqlSubject, "inbox">,
    (id: SourceId, config: PostgresConfig) => readonly string[] | Promise<readonly string[]>
  >
> = {
  role: (_, config) => roleSql(config),
  publication: publicationSql,
  outbox: (_, config) => outboxSql(config),
  "event-triggers": eventTriggerSql,
};
