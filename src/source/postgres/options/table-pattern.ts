// Which tables a source reads: `schema.table` with `*` for any letters, and a leading `!` to leave tables out.

import { quoteLiteral } from "../client/sql.ts";

export interface TablePattern {
  /** As it was written. */
  readonly text: string;
  readonly excludes: boolean;
  /** Names the outbox: what is read whatever else the patterns leave out. */
  readonly outbox?: true;
  /** It may name nothing. */
  readonly optional?: true;
  /** The one table that it names; undefined where a `*` may stand for more. */
  readonly exact?: { readonly schema: string; readonly name: string } | undefined;
  /** The names as SQL's LIKE takes them, quoted. */
  readonly like: { readonly schema: string; readonly name: string };
  matches(schema: string, table: string): boolean;
}

/** A name in double quotes is taken as it is, as in SQL: dots, `*` and `!` in it are letters. */
const pattern = /^(!?)(?:"((?:[^"]|"")+)"|([^."]+))\.(?:"((?:[^"]|"")+)"|([^"].*))$/s;

/** Undefined when the text is no pattern. */
export function parseTablePattern(text: string): TablePattern | undefined {
  const [, mark, quotedSchema, schema, quotedTable, table] = pattern.exec(text) ?? [];
  const exactSchema = exactName(quotedSchema, schema);
  const exactTable = exactName(quotedTable, table);
  const schemas = nameTest(quotedSchema, schema);
  const tables = nameTest(quotedTable, table);
  if (schemas === undefined || tables === undefined) return undefined;
  return {
    text,
    excludes: mark === "!",
    exact:
      exactSchema === undefined || exactTable === undefined ? undefined : { schema: exactSchema, name: exactTable },
    like: { schema: likeText(exactSchema, schema), name: likeText(exactTable, table) },
    matches: (schemaName, tableName) => schemas(schemaName) && tables(tableName),
  };
}

/** Millrace's own: of its tables only the outbox is ever read. */
const OWN_SCHEMA = "millrace";
const OWN_OUTBOX = { schema: OWN_SCHEMA, name: "outbox" } as const;

/** Whether it is the table that the migrations make and `millrace.emit` writes. */
export function isOwnOutbox({ schema, name }: { readonly schema: string; readonly name: string }): boolean {
  return schema === OWN_OUTBOX.schema && name === OWN_OUTBOX.name;
}

/** The outbox's tables: the one that is configured, and where it is there our own, for `millrace.emit` writes that one. */
export function outboxPatterns(
  table: { readonly schema: string; readonly name: string } | undefined,
): readonly TablePattern[] {
  const one = ({ schema, name }: { readonly schema: string; readonly name: string }): TablePattern => ({
    text: `${schema}.${name}`,
    excludes: false,
    outbox: true,
    exact: { schema, name },
    like: { schema: likeText(schema), name: likeText(name) },
    matches: (schemaName, tableName) => schemaName === schema && tableName === name,
  });
  if (table === undefined) return [{ ...one(OWN_OUTBOX), optional: true }];
  return isOwnOutbox(table) ? [one(table)] : [one(table), { ...one(OWN_OUTBOX), optional: true }];
}

/** Whether a table is read: some pattern names it, and none leaves it out. */
export function includesTable(patterns: readonly TablePattern[], schema: string, table: string): boolean {
  if (patterns.some((pattern) => pattern.outbox && pattern.matches(schema, table))) return true;
  if (schema === OWN_SCHEMA) return false;
  let included = false;
  for (const pattern of patterns) {
    if (!pattern.matches(schema, table)) continue;
    if (pattern.excludes) return false;
    included = true;
  }
  return included;
}

function nameTest(quoted: string | undefined, plain: string | undefined): ((name: string) => boolean) | undefined {
  const exact = exactName(quoted, plain);
  if (exact !== undefined) return (name) => name === exact;
  if (plain === undefined) return undefined;
  const parts = plain.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  const letters = new RegExp(`^${parts.join(".*")}$`, "s");
  return (name) => letters.test(name);
}

/** @param plain with `*` for any letters, where there is no exact name */
function likeText(exact: string | undefined, plain = ""): string {
  const escaped = (exact ?? plain).replace(/[\\%_]/g, "\\$&");
  return quoteLiteral(exact === undefined ? escaped.replaceAll("*", "%") : escaped);
}

function exactName(quoted: string | undefined, plain: string | undefined): string | undefined {
  if (quoted !== undefined) return quoted.replaceAll('""', '"');
  return plain?.includes("*") ? undefined : plain;
}
