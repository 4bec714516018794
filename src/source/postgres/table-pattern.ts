// Which tables a source reads: `schema.table` with `*` for any letters, and a leading `!` to leave tables out.

export interface TablePattern {
  /** As it was written. */
  readonly text: string;
  readonly excludes: boolean;
  matches(schema: string, table: string): boolean;
}

/** Undefined when the text is no pattern. */
export function parseTablePattern(text: string): TablePattern | undefined {
  const [, mark, schema, table] = /^(!?)([^.]+)\.(.+)$/s.exec(text) ?? [];
  if (schema === undefined || table === undefined) return undefined;
  const schemas = wildcard(schema);
  const tables = wildcard(table);
  return {
    text,
    excludes: mark === "!",
    matches: (schemaName, tableName) => schemas.test(schemaName) && tables.test(tableName),
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

function wildcard(text: string): RegExp {
  const parts = text.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s");
}
