// Names and texts as SQL takes them.

/** A name, quoted. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text, quoted. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted.replaceAll("\\", "\\\\")}` : quoted;
}

/** `"schema"."table"`. */
export function quoteTable(table: { readonly schema: string; readonly name: string }): string {
  return `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
}

/** What lets a role read a table. @param role quoted */
export function grantSelect(
  table: { readonly schema: string; readonly name: string },
  role: string,
): readonly [string, string] {
  return [
    `GRANT USAGE ON SCHEMA ${quoteIdentifier(table.schema)} TO ${role};`,
    `GRANT SELECT ON ${quoteTable(table)} TO ${role};`,
  ];
}
