// What a publication publishes, by the catalog's own numbers: a table that left and came back is another entry.

import type { SourceId } from "../../event/source-id.ts";
import { publicationMark } from "./publication-sql.ts";
import type { Session } from "./session.ts";
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
  /** Of the table's membership; empty where the publication is for all tables or for a schema. */
  readonly entry: string;
  readonly filtered: boolean;
}

/** SQL: what publication `p` publishes of changes. */
export const PUBLISHED_OPS = `ARRAY_REMOVE(ARRAY[CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
      CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END], NULL)`;

/**
 * SQL: the tables of publication `p` as `c`, each with its schema `n` and, where it is named by itself, its entry `r`. By
 * joins: a table's name as a regclass takes a right on its schema.
 */
export const FROM_PUBLISHED_TABLES = `FROM (
        SELECT r.prrelid AS relid FROM pg_publication_rel r WHERE r.prpubid = p.oid
        UNION
        SELECT c.oid FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE t.pubname = p.pubname
      ) published
      JOIN pg_class c ON c.oid = published.relid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid`;

/** Newer columns by way of JSON: it works from 14 on. */
const published = `
  SELECT p.oid::int8::text AS oid,
    coalesce(obj_description(p.oid, 'pg_publication') = $2, false) AS ours,
    p.puballtables AS all,
    p.pubviaroot AS "viaRoot",
    coalesce(to_jsonb(p)->>'pubgencols' = 's', false) AS generated,
    ${PUBLISHED_OPS} AS ops,
    coalesce((
      SELECT json_agg(json_build_object('oid', c.oid::int8::text, 'schema', n.nspname, 'name', c.relname,
        'partitioned', c.relkind = 'p', 'entry', coalesce(r.oid::int8::text, ''),
        'filtered', to_jsonb(r)->>'prqual' IS NOT NULL, 'where', '[]'::json) ORDER BY c.oid)
      ${FROM_PUBLISHED_TABLES}
    ), '[]') AS tables
  FROM pg_publication p WHERE p.pubname = $1`;

/** Undefined when there is no publication of that name. */
export async function readPublished(session: Session, source: SourceId, name: string): Promise<Published | undefined> {
  const [row] = await session.query<Published>(published, [name, publicationMark(source)]);
  return row;
}

/** Then rows need not be told apart: no UPDATE or DELETE of the application can fail for it. */
export function insertsOnly(ops: readonly string[]): boolean {
  return !ops.includes("update") && !ops.includes("delete");
}
