// What `millrace init` writes: a configuration, one automation, the SQL of a DBA, and a table to begin with.

import type { SourceId } from "../../event/source-id.ts";

export interface InitChoices {
  readonly source: SourceId;
  /** As in the configuration: `public.*`. */
  readonly tables: readonly string[];
  /** The url of the bus; one with a password in it stays out of the file. */
  readonly nats: string;
  /** The one that the automation listens to. */
  readonly table: { readonly schema: string; readonly name: string };
  /** What a DBA runs, when a database is there. */
  readonly sql: readonly string[];
  /** What DATABASE_URL is to be, but for the password, when a database is there. */
  readonly workerUrl?: string | undefined;
  /** Whether `millrace dev` shall make the table in a database of its own. */
  readonly ownTable: boolean;
}

/** Texts by the path of their file. */
export function initFiles(choices: InitChoices): ReadonlyMap<string, string> {
  const { source, table, sql, ownTable } = choices;
  const name = `${slug(table.name)}-created`;
  return new Map([
    ["millrace.config.ts", configuration(choices)],
    [`automations/${name}.ts`, firstAutomation(choices, name)],
    ["millrace.sql", `${sql.join("\n")}\n`],
    ...(ownTable ? [[`dev/${source}.sql`, ownTableSql(table)] as const] : []),
  ]);
}

function configuration({ source, tables, nats }: InitChoices): string {
  const fallback = nats.includes("@") ? "" : `, ${JSON.stringify(nats)}`;
  return `import { defineConfig, env } from "millrace";

export default defineConfig({
  bus: { servers: env("NATS_URL"${fallback}) },
  sources: {
    ${source}: { kind: "postgres", url: env("DATABASE_URL"), tables: ${array(tables)} },
  },
  automations: "./automations/*.ts",
});
`;
}

function firstAutomation({ source, table }: InitChoices, id: string): string {
  const full = `${table.schema}.${table.name}`;
  return `import { automation, collection } from "millrace";

// What the handler reads of a row; docs/connectors/postgres.md says how each type arrives.
type Row = Readonly<Record<string, unknown>>;

const table = ${JSON.stringify(full)};
const rows = collection<Row>(${JSON.stringify(source)}, table);

// Runs once for every row that is committed from now on, and again when it throws.
export const created = automation(${JSON.stringify(id)}, { on: rows.created() }, async ({ event, log }) => {
  log.info(\`a row of \${table} was created, with \${Object.keys(event.after).length} columns\`);
});
`;
}

function ownTableSql({ schema, name }: InitChoices["table"]): string {
  return `-- Run by \`millrace dev\`, once, when it makes the database of this source.
${schema === "public" ? "" : `create schema ${schema};\n`}create table ${schema}.${name} (
  id bigint generated always as identity primary key,
  status text not null default 'new',
  created_at timestamptz not null default now()
);
`;
}

function array(texts: readonly string[]): string {
  return `[${texts.map((text) => JSON.stringify(text)).join(", ")}]`;
}

/** An automation's id: `a-z`, `0-9` and `-`, beginning with a letter. */
function slug(text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "");
  return plain.slice(0, 50) || "rows";
}
