// What `millrace sql` and `millrace init` print of a Postgres source: SQL, for whoever has the rights to run it.

import { MillraceError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { migrationSql } from "../../../outbox/migration-sql.ts";
import type { SetupText } from "../../capabilities.ts";
import { messageRightsSql, outboxSql } from "../check/outbox-sql.ts";
import type { PostgresConfig } from "../options/config.ts";
import { eventTriggerSql } from "./event-trigger-sql.ts";
import { exampleSql, firstTable, publicationSql, roleSql, workerRole } from "./setup-sql.ts";

export const setupText: SetupText<PostgresConfig> = {
  comment: "--",
  place: "in the database of the source's url",
  subjects: {
    role: { runBy: "an administrator", lines: async (_, config) => roleSql(config) },
    publication: { runBy: "the owner of the tables", lines: publicationSql },
    outbox: {
      runBy: "the owner of the database",
      common: () => tablesSql("outbox", "that writes events"),
      lines: async (_, config) => outboxSql(config),
    },
    inbox: {
      runBy: "the owner of the database",
      common: () => [
        ...tablesSql("inbox", "that tx() of an automation works as"),
        "-- and, where it emits events, what `millrace sql outbox` says of roles that write them",
      ],
    },
    "event-triggers": { runBy: "a superuser", lines: async () => eventTriggerSql() },
  },
  first: async (id, config) => {
    const { schema, name } = await firstTable(id, config);
    const role = await workerRole(id, config);
    const lines = [...roleSql(config, role), ...(await firstPublication(id, config))];
    return { collection: { namespace: schema, collection: name }, user: role.name, lines };
  },
  example: (id, config, { namespace, collection }) => exampleSql(id, config, { schema: namespace, name: collection }),
};

/** What is the same for all sources: the migrations, and what the application's own roles need. */
function tablesSql(what: "outbox" | "inbox", which: string): readonly string[] {
  return [
    "-- for the owner of the database",
    ...migrationSql(what).split("\n"),
    `-- for each role ${which}, with its name in place of <role>:`,
    "-- GRANT USAGE ON SCHEMA millrace TO <role>;",
    `-- GRANT SELECT, INSERT, DELETE ON millrace.${what} TO <role>;`,
    ...messageRightsSql("<role>"),
  ];
}

/** With words in place of what SQL alone does not mend. @throws as `publicationSql` */
async function firstPublication(id: SourceId, config: PostgresConfig): Promise<readonly string[]> {
  try {
    return await publicationSql(id, config);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "TABLE_WITHOUT_IDENTITY") throw error;
    return [`-- ${error.message}`, `-- ${error.hint}`, `-- then: npx millrace sql publication ${id}`];
  }
}
