// SQL that finds what patterns name by the catalog's indexes: a database may have many other tables, which cost nothing then.

import { quoteLiteral } from "../client/sql.ts";
import type { TablePattern } from "../options/table-pattern.ts";

export interface NamedTables {
  /** A query for oids; it may give more than the tables that the patterns name, never less. */
  readonly text: string;
  readonly values: readonly [schemas: readonly string[], names: readonly string[]];
}

/** Its values come first, as `$1` and `$2`. What a pattern leaves out is not looked at. */
export function namedTables(patterns: readonly (TablePattern | Required<Pick<TablePattern, "exact">>)[]): NamedTables {
  const exact = patterns.flatMap((pattern) => pattern.exact ?? []);
  const open = new Set(
    patterns.flatMap((pattern) =>
      pattern.exact === undefined && "like" in pattern && !pattern.excludes ? [likeQuery(pattern.like)] : [],
    ),
  );
  return {
    text: [EXACT, ...open].join(" UNION "),
    values: [exact.map(({ schema }) => schema), exact.map(({ name }) => name)],
  };
}

const EXACT = `SELECT c.oid FROM unnest($1::text[], $2::text[]) w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema::name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name::name`;

/** With the letters in it: only of constants does the planner know the range of the index. */
function likeQuery({ schema, name }: TablePattern["like"]): string {
  const names = name === "%" ? "" : ` AND c.relname LIKE ${quoteLiteral(name)}`;
  return `SELECT c.oid FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
  WHERE n.nspname LIKE ${quoteLiteral(schema)}${names}`;
}
