// The statements that make and alter a publication, for the worker and for a person.

import type { SourceId } from "../../event/source-id.ts";
import { quoteIdentifier, quoteLiteral, quoteTable } from "./sql.ts";
import type { SourceTable } from "./tables.ts";

export const ALL_OPS: readonly string[] = ["insert", "update", "delete", "truncate"];

/** From here on stored generated columns can be published. */
const GENERATED_VERSION = 180_000;

/** Only one that carries our mark, so that nobody's own publication is ever altered. */
export function publicationMark(source: SourceId): string {
  return `made by millrace for the source ${source}`;
}

/**
 * @param tables may be none: logical messages need a publication too
 * @param version of the server, as `server_version_num`
 */
export function createPublication(name: string, tables: readonly SourceTable[], version: number): string {
  const options = ["publish_via_partition_root = true", ...(publishesGenerated(version) ? [GENERATED] : [])];
  const list = tables.length === 0 ? "" : ` FOR TABLE ${tables.map(entry).join(", ")}`;
  return `CREATE PUBLICATION ${quoteIdentifier(name)}${list} WITH (${options.join(", ")})`;
}

const GENERATED = "publish_generated_columns = stored";

export function publishesGenerated(version: number): boolean {
  return version >= GENERATED_VERSION;
}

/** @param tables at least one */
export function alterTables(name: string, verb: "ADD" | "DROP" | "SET", tables: readonly SourceTable[]): string {
  const list = tables.map(verb === "DROP" ? publishedTable : entry).join(", ");
  return `ALTER PUBLICATION ${quoteIdentifier(name)} ${verb} TABLE ${list}`;
}

export function setOptions(name: string, options: Readonly<Record<"viaRoot" | "generated" | "ops", boolean>>): string {
  const list = [
    ...(options.viaRoot ? ["publish_via_partition_root = true"] : []),
    ...(options.generated ? [GENERATED] : []),
    ...(options.ops ? [`publish = '${ALL_OPS.join(", ")}'`] : []),
  ];
  return `ALTER PUBLICATION ${quoteIdentifier(name)} SET (${list.join(", ")})`;
}

/** The SQLSTATE that `refuseLooseFilters` raises. */
export const LOOSE_FILTER = "MR001";

/**
 * Undoes the transaction that it stands in when a row filter reads a column by which an update or delete is not told:
 * Postgres accepts such a filter, and then refuses the application's own UPDATE and DELETE. Of a partitioned table only
 * the primary key counts, for every partition, those to come too, has it.
 */
export function refuseLooseFilters(name: string): string {
  return `DO ${quoteLiteral(`DECLARE loose text; BEGIN
    SELECT string_agg(format('%I.%I: %I', n.nspname, c.relname, a.attname), ', ') INTO loose
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid
      AND a.attnum IN (SELECT m[1]::int FROM regexp_matches(r.prqual::text, ':varattno (\\d+)', 'g') m)
    WHERE p.pubname = ${quoteLiteral(name)} AND NOT (c.relkind = 'r' AND c.relreplident = 'f') AND NOT EXISTS (
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
