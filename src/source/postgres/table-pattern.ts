// Which tables a source reads: `schema.table` with `*` for any letters, and a leading `!` to leave tables out.

export interface TablePattern {
  /** As it was written. */
  readonly text: string;
  readonly excludes: boolean;
  matches(schema: string, table: string): boolean;
}

/** A name in double quotes is taken as it is, as in SQL: dots, `*` and `!` in it are letters. */
const pattern = /^(!?)(?:"((?:[^"]|"")+)"|([^."]+))\.(?:"((?:[^"]|"")+)"|([^"].*))$/s;

/** Undefined when the text is no pattern. */
export function parseTablePattern(text: string): TablePattern | undefined {
  const [, mark, quotedSchema, schema, quotedTable, table] = pattern.exec(text) ?? [];
  const schemas = nameTest(quotedSchema, schema);
  const tables = nameTest(quotedTable, table);
  if (schemas === undefined || tables === undefined) return undefined;
  return {
    text,
    excludes: mark === "!",
    matches: (schemaName, tableName) => schemas(schemaName) && tables(tableName),
  };
}

/** Whether a table is read: some pattern names it, and none leaves it out. */
export function includesTable(patterns: readonly TablePattern[], schema: string, table: string): boolean {
  let included = false;
  for (const pattern of patterns) {
    if (!pattern.matches(schema, table)) continue;
    if (pattern.excludes) return false;
    included = true;
  }
  return included;
}

function nameTest(quoted: string | undefined, plain: string | undefined): ((name: string) => boolean) | undefined {
  if (quoted !== undefined) {
    const exact = quoted.replaceAll('""', '"');
    return (name) => name === exact;
  }
  if (plain === undefined) return undefined;
  const parts = plain.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  const letters = new RegExp(`^${parts.join(".*")}$`, "s");
  return (name) => letters.test(name);
}
