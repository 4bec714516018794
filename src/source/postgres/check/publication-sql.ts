// The statements that make and alter a publication, for the worker and for a person.

import { quoteIdentifier, quoteLiteral, quoteTable } from "../client/sql.ts";
import type { SourceTable } from "../facts/tables.ts";
import { publishesGenerated } from "./refused-writes.ts";

export const ALL_OPS: readonly string[] = ["insert", "update", "delete", "truncate"];

/** From here on a publication can have row filters. */
const FILTER_VERSION = 150_000;

/**
 * Makes it without a table: each is added by a statement of its own. One statement would hold the first table's lock while
 * it waits for the next one's, and a migration that takes them in another order would be the deadlock's victim.
 * @param version of the server, as `server_version_num`
 */
export function createPublication(name: string, version: number): string {
  const options = ["publish_via_partition_root = true", ...(publishesGenerated(version) ? [GENERATED] : [])];
  return `CREATE PUBLICATION ${quoteIdentifier(name)} WITH (${options.join(", ")})`;
}

export const GENERATED = "publish_generated_columns = stored";

/** Whether some table has a condition that the server cannot filter by. */
export function lacksFilters(tables: readonly Pick<SourceTable, "where">[], version: number): boolean {
  return version < FILTER_VERSION && tables.some(({ where }) => where.length > 0);
}

/** What makes a publication, for a person: each line a statement or a transaction, and none locks two tables. */
export function publicationLines(name: string, tables: readonly SourceTable[], version: number): readonly string[] {
  return [`${createPublication(name, version)};`, ...tables.map((table) => addLine(name, table))];
}

/** For a person: a statement, or a transaction where a row filter could break the application's writes. */
export function addLine(name: string, table: SourceTable): string {
  return guarded(name, table.where.length === 0 ? undefined : table, [addTable(name, table)]);
}

/**
 * One statement, or several as one transaction: rows written between two would be missing from the stream.
 * @param filtered the table whose row filter must not break the application's writes
 */
export function guarded(name: string, filtered: TableName | undefined, statements: readonly string[]): string {
  const guard = filtered === undefined ? [] : [refuseLooseFilter(name, filtered).replaceAll(/\s*\n\s*/g, " ")];
  const all = [...statements, ...guard];
  return all.length === 1 ? `${all[0]};` : `BEGIN; ${all.join("; ")}; COMMIT;`;
}

type TableName = Pick<SourceTable, "schema" | "name">;

export function addTable(name: string, table: SourceTable): string {
  return `ALTER PUBLICATION ${quoteIdentifier(name)} ADD TABLE ${entry(table)}`;
}

/** For a person. */
export function publishGenerated(name: string): string {
  return `ALTER PUBLICATION ${quoteIdentifier(name)} SET (${GENERATED});`;
}

/** The SQLSTATE that `refuseLooseFilter` raises. */
export const LOOSE_FILTER = "MR001";

/**
 * Undoes the transaction that it stands in when the table's row filter reads a column by which an update or delete is not told:
 * Postgres accepts such a filter, and then refuses the application's own UPDATE and DELETE. Of a partitioned table only
 * the primary key counts, for every partition, those to come too, has it.
 */
export function refuseLooseFilter(name: string, table: TableName): string {
  return `DO ${quoteLiteral(`DECLARE loose text; BEGIN
    SELECT string_agg(format('%I.%I: %I', n.nspname, c.relname, a.attname), ', ') INTO loose
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid
      AND a.attnum IN (SELECT m[1]::int FROM regexp_matches(r.prqual::text, ':varattno (\\d+)', 'g') m)
    WHERE p.pubname = ${quoteLiteral(name)} AND n.nspname = ${quoteLiteral(table.schema)}
      AND c.relname = ${quoteLiteral(table.name)} AND NOT (c.relkind = 'r' AND c.relreplident = 'f') AND NOT EXISTS (
      SELECT FROM pg_index i WHERE i.indrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
        AND CASE WHEN c.relkind = 'r' AND c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END);
    IF loose IS NOT NULL THEN RAISE EXCEPTION '%', loose USING ERRCODE = '${LOOSE_FILTER}'; END IF; END`)}`;
}

/**
 * The table, with its partitions, but none that inherit from it: those are tables of their own, have no key of their
 * parent's, and their UPDATE would fail.
 */
export function publishedTable(table: Pick<SourceTable, "schema" | "name">): string {
  return `ONLY ${quoteTable(table)}`;
}

function entry(table: SourceTable): string {
  if (table.where.length === 0) return publishedTable(table);
  return `${publishedTable(table)} WHERE (${table.where.map((condition) => `(${condition})`).join(" AND ")})`;
}
