// `millrace init`: asks, or takes flags, and writes what a first run needs. It never writes over a file, nor a secret.

import { existsSync } from "node:fs";
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { connectors } from "../../connectors.ts";
import { BugError, ConfigError } from "../../errors.ts";
import { isSourceId, type SourceId } from "../../event/source-id.ts";
import { rememberUrlSecrets } from "../../telemetry/redact.ts";
import { type InitKind, initKindOf } from "../common/init-kinds.ts";
import { printable } from "../common/terminal.ts";

export interface InitOptions {
  readonly source?: string | undefined;
  /** Where the database is; looked at, never written. */
  readonly url?: string | undefined;
  readonly tables?: readonly string[] | undefined;
  readonly nats?: string | undefined;
  readonly signal: AbortSignal;
  readonly print: (line: string) => Promise<void>;
}

/** The name of the source that it writes. */
const SOURCE = "shop";
const NATS = "nats://127.0.0.1:4222";
const TABLE = { schema: "public", name: "orders" };

/** @throws ConfigError INIT_SOURCE, INIT_DATABASE, INIT_FILE_EXISTS, CONFIG_INVALID; what a named database that cannot be asked throws */
export async function init(options: InitOptions): Promise<void> {
  const { source, url, tables, nats } = await answers(options);
  if (!isSourceId(source)) {
    throw new ConfigError("INIT_SOURCE", `${JSON.stringify(source)} cannot be a source's name`, {
      hint: "Take a lower-case letter and up to 30 lower-case letters, digits or _.",
    });
  }
  if (url !== "") rememberUrlSecrets(url);
  const kind = initKindOf(url);
  const choices = {
    source,
    kind,
    tables,
    nats,
    others: kind.others(url),
    ...(await lookAt(kind, source, url, tables)),
  };
  const files = initFiles(choices);
  const taken = [...files.keys()].filter((file) => existsSync(file));
  if (taken.length > 0) {
    throw new ConfigError("INIT_FILE_EXISTS", `${taken.join(", ")} would be written over`, {
      hint: "Move it away, or run this in another directory; nothing was written.",
    });
  }
  for (const [file, text] of files) {
    await mkdir(dirname(join(process.cwd(), file)), { recursive: true });
    await writeFile(file, text, { flag: "wx" });
    await options.print(printable(`wrote ${file}`));
  }
  if (await ignoreOwnData(join(process.cwd(), ".gitignore"))) await options.print("wrote .gitignore");
  for (const line of nextSteps(choices)) await options.print(line);
}

/** What there is in the file stays. Resolves to whether something was missing. */
async function ignoreOwnData(file: string): Promise<boolean> {
  const old = await readFile(file, "utf8").catch(() => "");
  const lines = old.split(/\r?\n/).map((line) => line.trim().replace(/^\//, "").replace(/\/$/, ""));
  const missing = ["node_modules/", ".millrace/"].filter((line) => !lines.includes(line.slice(0, -1)));
  if (missing.length === 0) return false;
  const gap = old === "" || old.endsWith("\n") ? "" : "\n";
  await appendFile(file, `${gap}${missing.join("\n")}\n`);
  return true;
}

interface Answers {
  readonly source: string;
  readonly url: string;
  readonly tables: readonly string[];
  readonly nats: string;
}

/** What no flag says is asked on a terminal, and what it most often is elsewhere. */
async function answers({ source, url, tables, nats, signal, print }: InitOptions): Promise<Answers> {
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const lines = terminal ? createInterface({ input: process.stdin, output: process.stdout }) : undefined;
  const ask = async (given: string | undefined, question: string, usual: string): Promise<string> => {
    if (given !== undefined || lines === undefined) return given ?? usual;
    const answer = await lines.question(`${question}${usual === "" ? "" : ` [${usual}]`}: `, { signal });
    return answer.trim() || usual;
  };
  if (terminal) await print("Enter takes what stands in brackets.");
  try {
    const name = await ask(source, "Name of the source", SOURCE);
    const where = await ask(
      url,
      "Url of its Postgres or MongoDB, or dynamodb://REGION (none: `millrace dev` brings a Postgres)",
      "",
    );
    const { option, usual } = initKindOf(where);
    const question = `${option === "tables" ? "Tables" : "Collections"} to read`;
    return {
      source: name,
      url: where,
      tables: split(await ask(tables?.join(), question, usual.join())),
      nats: await ask(nats, "Url of the nats-server", NATS),
    };
  } finally {
    lines?.close();
  }
}

/** The table that the automation is about, and what a DBA runs, from the database where one is named. */
async function lookAt(
  { kind, option, hasUrl, others, workerUrl }: InitKind,
  source: SourceId,
  url: string,
  tables: readonly string[],
): Promise<Pick<InitChoices, "table" | "sql" | "ownTable" | "workerUrl">> {
  const connector = connectors.get(kind);
  if (connector?.setupText === undefined) throw new BugError("INIT_KIND", `nobody can set up a source of kind ${kind}`);
  const named = url || `postgres://millrace@localhost/${source}`;
  const where = hasUrl ? { url: named } : {};
  const config = connector.parse({ ...where, [option]: tables, ...others(url) }, `sources.${source}`);
  if (url === "") {
    const table = tableOf(tables);
    const collection = { namespace: table.schema, collection: table.name };
    return { table, sql: connector.setupText.example(source, config, collection), ownTable: true };
  }
  const { collection, user, lines } = await connector.setupText.first(source, config);
  const table = { schema: collection.namespace, name: collection.collection };
  return { table, sql: lines, ownTable: false, workerUrl: workerUrl(url, user) };
}

/** One that the patterns name. */
function tableOf(tables: readonly string[]): InitChoices["table"] {
  const plain = tables
    .map((text) => /^([a-z_][a-z0-9_]*|\*)\.([a-z_][a-z0-9_]*|\*)$/.exec(text))
    .find((found) => found);
  const [, schema = "*", name = "*"] = plain ?? [];
  return { schema: schema === "*" ? TABLE.schema : schema, name: name === "*" ? TABLE.name : name };
}

function split(text: string): readonly string[] {
  return text.split(",").map((part) => part.trim());
}

function nextSteps({ kind, ownTable, table, workerUrl }: InitChoices): readonly string[] {
  const insert = `insert into ${table.schema}.${table.name} default values`;
  return ownTable
    ? ["", "npx millrace dev        # brings its own Postgres and nats-server, and says their urls", `then: ${insert}`]
    : [
        "",
        kind.runWith,
        kind.hasUrl ? `export DATABASE_URL='${workerUrl ?? kind.exampleUrl}'` : kind.exampleUrl,
        "npx millrace check      # whether all is as it must be",
        "npx millrace run",
      ];
}

export interface InitChoices {
  readonly source: SourceId;
  readonly kind: InitKind;
  /** Options of the source beside its url and the patterns. */
  readonly others: Readonly<Record<string, string>>;
  /** As in the configuration: `public.*`. */
  readonly tables: readonly string[];
  /** The url of the bus; one with a password in it stays out of the file. */
  readonly nats: string;
  /** The one that the automation listens to. */
  readonly table: { readonly schema: string; readonly name: string };
  /** What a DBA runs, when a database is there. */
  readonly sql: readonly string[];
  /** What DATABASE_URL is to be, with a place for the password, which only the DBA knows; when a database is there. */
  readonly workerUrl?: string | undefined;
  /** Whether `millrace dev` shall make the table in a database of its own. */
  readonly ownTable: boolean;
}

/** Texts by the path of their file. */
function initFiles(choices: InitChoices): ReadonlyMap<string, string> {
  const { source, kind, table, sql, ownTable } = choices;
  const name = `${slug(table.name)}-created`;
  return new Map([
    ["millrace.config.ts", configuration(choices)],
    [`automations/${name}.ts`, firstAutomation(choices, name)],
    [kind.file, `${sql.join("\n")}\n`],
    ...(ownTable ? [[`dev/${source}.sql`, ownTableSql(table)] as const] : []),
  ]);
}

function configuration({ source, kind, others, tables, nats }: InitChoices): string {
  const more = Object.entries(others).map(([name, value]) => `${name}: ${JSON.stringify(value)}, `);
  const fallback = nats.includes("@") ? "" : `, ${JSON.stringify(nats)}`;
  return `import { defineConfig, env } from "millrace";

export default defineConfig({
  bus: { servers: env("NATS_URL"${fallback}) },
  sources: {
    ${source}: { kind: "${kind.kind}", ${kind.hasUrl ? 'url: env("DATABASE_URL"), ' : ""}${more.join("")}${kind.option}: ${array(tables)} },
  },
  automations: "./automations/*.ts",
});
`;
}

function firstAutomation({ source, kind, table }: InitChoices, id: string): string {
  const full = `${table.schema}.${table.name}`;
  return `import { automation, collection } from "millrace";

// What the handler reads of a row; docs/connectors/${kind.kind}.md says how each type arrives.
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
