// SQL that finds what patterns name by the catalog's indexes: a database may have many other tables, which cost nothing then.

import type { TablePattern } from "../options/table-pattern.ts";

export interface NamedTables {
  /** A query for oids; it may give more than the tables that the patterns name, never less. */
  readonly text: string;
  readonly values: readonly (readonly string[])[];
}

/** Its values come first, from `$1` on. What a pattern leaves out is not looked at. */
export function namedTables(patterns: readonly TablePattern[]): NamedTables {
  const exact = patterns.flatMap((pattern) => pattern.exact ?? []);
  const open = new Set(
    patterns.flatMap((pattern) => (pattern.exact === undefined && !pattern.excludes ? [likeQuery(pattern.like)] : [])),
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
  const names = name === "'%'" ? "" : ` AND c.relname LIKE ${name}`;
  return `SELECT c.oid FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
  WHERE n.nspname LIKE ${schema}${names}`;
}

/** The same of tables that are known by their numbers. */
export function numberedTables(tables: readonly { readonly oid: string }[]): NamedTables {
  return { text: "SELECT unnest($1::text[]::oid[])", values: [tables.map(({ oid }) => oid)] };
}
