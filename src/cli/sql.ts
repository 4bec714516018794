// `millrace sql`: prints what a DBA runs, and changes nothing.

import { publicationSql, roleSql } from "../source/postgres/setup-sql.ts";
import { redact } from "../telemetry/redact.ts";
import { postgresSources } from "./postgres-sources.ts";
import { printable } from "./terminal.ts";

export interface SqlOptions {
  readonly what: "role" | "publication";
  readonly config?: string | undefined;
  /** Undefined means all. */
  readonly source?: string | undefined;
  readonly print: (line: string) => Promise<void>;
}

/** @throws ConfigError, TransientError */
export async function sql({ what, config: file, source, print }: SqlOptions): Promise<void> {
  for (const { id, config } of await postgresSources(file, source)) {
    const lines = what === "role" ? roleSql(config) : await publicationSql(id, config);
    const who = what === "role" ? "an administrator" : "the owner of the tables";
    await print(`-- source ${id}: for ${who}, in the database of the source's url`);
    for (const line of lines) await print(printable(redact(line)));
  }
}
