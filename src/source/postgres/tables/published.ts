// What a publication publishes, by the catalog's own numbers: a table that left and came back is another entry.

import type { SourceId } from "../../../event/source-id.ts";
import type { Session } from "../client/session.ts";
import { namedTables } from "./named-tables.ts";
import { publicationMark } from "./publication-sql.ts";
import type { SourceTable } from "./tables.ts";

export interface Published {
  readonly oid: string;
  /** Whether it carries our mark: nobody's own publication is ever altered. */
  readonly ours: boolean;
  readonly all: boolean;
  readonly viaRoot: boolean;
  /** Whether stored generated columns are among the columns (from version 18 on). */
  readonly generated: boolean;
  readonly ops: readonly string[];
  readonly tables: readonly PublishedEntry[];
}

export interface PublishedEntry extends SourceTable {
  readonly oid: string;
  /** The number of the table's membership; empty where the publication is for all tables or for a schema. */
  readonly entry: string;
  readonly filtered: boolean;
  /** A hash of its row filter, the same for the same condition; null without. */
  readonly filter: string | null;
}

/** SQL: what publication `p` publishes of changes. */
export const PUBLISHED_OPS = `ARRAY_REMOVE(ARRAY[CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
      CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END], NULL)`;

/** SQL: the schemas that publication `p` names, by what depends on it: version 14 has no catalog of them. */
export const SCHEMAS = `SELECT s.refobjid FROM pg_depend d JOIN pg_depend s ON s.classid = d.classid AND s.objid = d.objid
        WHERE d.refclassid = 'pg_publication'::regclass AND d.refobjid = p.oid
          AND d.classid = to_regclass('pg_catalog.pg_publication_namespace') AND s.refclassid = 'pg_namespace'::regclass`;

/** SQL: whether publication `p` names a table, its schema, or all. */
const covers = (table: string): string => `(p.puballtables OR ${table}.oid IN (
          SELECT m.prrelid FROM pg_publication_rel m WHERE m.prpubid = p.oid
        ) OR ${table}.relnamespace IN (${SCHEMAS}))`;

const ancestors = (table: string): string =>
  `pg_partition_ancestors(${table}.oid) a JOIN pg_class up ON up.oid = a.relid WHERE a.relid <> ${table}.oid`;

/**
 * SQL: the tables of publication `p` as `c`, each with its schema `n` and, where it is named by itself, its entry `r`: all
 * that are named by themselves, and what else it publishes of those asked for. The server's own list is of everything that
 * it publishes, and opens each table for it. By joins: a table's name as a regclass takes a right on its schema.
 * @param asked a query for oids
 */
export const fromPublished = (asked: string): string => `FROM (
        SELECT r.prrelid AS relid FROM pg_publication_rel r WHERE r.prpubid = p.oid
        UNION
        SELECT t.oid FROM pg_class t
        WHERE (p.puballtables OR NOT p.pubviaroot OR EXISTS (${SCHEMAS})) AND t.oid IN (${asked}) AND t.relpersistence = 'p'
          AND CASE WHEN p.pubviaroot THEN t.relkind IN ('r', 'p') AND ${covers("t")}
            AND NOT EXISTS (SELECT FROM ${ancestors("t")} AND ${covers("up")})
          ELSE t.relkind = 'r' AND (${covers("t")} OR EXISTS (SELECT FROM ${ancestors("t")} AND ${covers("up")})) END
      ) published
      JOIN pg_class c ON c.oid = published.relid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid`;

/** Newer columns by way of JSON: it works from 14 on. */
const published = (asked: string): string => `
  SELECT p.oid::int8::text AS oid,
    coalesce(obj_description(p.oid, 'pg_publication') = $4, false) AS ours,
    p.puballtables AS all,
    p.pubviaroot AS "viaRoot",
    coalesce(to_jsonb(p)->>'pubgencols' = 's', false) AS generated,
    ${PUBLISHED_OPS} AS ops,
    coalesce((
      SELECT json_agg(json_build_object('oid', c.oid::int8::text, 'schema', n.nspname, 'name', c.relname,
        'partitioned', c.relkind = 'p', 'entry', coalesce(r.oid::int8::text, ''),
        'filtered', to_jsonb(r)->>'prqual' IS NOT NULL,
        'filter', hashtextextended(regexp_replace(to_jsonb(r)->>'prqual', ' :location -?\\d+', '', 'g'), 0)::text, 'where', '[]'::json) ORDER BY c.oid)
      ${fromPublished(asked)}
    ), '[]') AS tables
  FROM pg_publication p WHERE p.pubname = $3`;

/**
 * Undefined when there is no publication of that name.
 * @param asked names tables: of those that come in with a schema, or with all, only theirs are told
 */
export async function readPublished(
  session: Session,
  source: SourceId,
  name: string,
  asked: Parameters<typeof namedTables>[0],
): Promise<Published | undefined> {
  const named = namedTables(asked);
  const values = [...named.values, name, publicationMark(source)];
  const [row] = await session.query<Published>(published(named.text), values);
  return row;
}

/** Then rows need not be told apart: no UPDATE or DELETE of the application can fail for it. */
export function insertsOnly(ops: readonly string[]): boolean {
  return !ops.includes("update") && !ops.includes("delete");
}
