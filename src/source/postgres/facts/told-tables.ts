// The tables by whose names a publication tells of rows, with what it lets through of each. The server's own list opens every table of
// the publication for it, and so waits for whoever has locked one of them.

import { SCHEMAS } from "./publication.ts";

/** From here on publications have row filters and column lists. */
const FILTERS_VERSION = 150_000;

const covers = (table: string): string => `(p.puballtables OR ${table}.relnamespace = ANY (named.schemas) OR EXISTS (
    SELECT FROM pg_publication_rel m WHERE m.prrelid = ${table}.oid AND m.prpubid = p.oid))`;

const ABOVE = `SELECT FROM pg_partition_ancestors(c.oid) a JOIN pg_class up ON up.oid = a.relid WHERE a.relid <> c.oid AND ${covers("up")}`;

/**
 * What follows FROM: publications as `p`, and each table that one of them tells of as `c` in its schema `n`, where it is named by
 * itself with its entry `r`. Limit `p` and, for one table, `n` and `c`.
 */
export const toldTables = `pg_publication p
  CROSS JOIN LATERAL (SELECT ARRAY(${SCHEMAS}) AS schemas OFFSET 0) named
  JOIN pg_class c ON c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384 AND CASE
    WHEN p.pubviaroot THEN ${covers("c")} AND NOT EXISTS (${ABOVE})
    ELSE c.relkind = 'r' AND (${covers("c")} OR EXISTS (${ABOVE})) END
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid AND NOT p.puballtables
    AND c.relnamespace <> ALL (named.schemas)`;

/** SQL: whether a column `a` of such a table is published. A list that names it counts, else whether generated ones are. */
export const toldColumn = `CASE WHEN to_jsonb(r)->>'prattrs' IS NOT NULL THEN to_jsonb(r)->'prattrs' @> to_jsonb(a.attnum)
  ELSE a.attgenerated = '' OR (a.attgenerated = 's' AND coalesce(to_jsonb(p)->>'pubgencols' = 's', false)) END`;

/** SQL: the row filter of such a table, null without. @param version of the server, as `server_version_num` */
export function toldFilter(version: number): string {
  return version < FILTERS_VERSION ? "NULL" : "pg_get_expr(r.prqual, r.prrelid)";
}
