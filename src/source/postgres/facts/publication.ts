// What a publication publishes, by the catalog's own numbers: a table that left and came back is another entry.

import type { SourceId } from "../../../event/source-id.ts";
import type { Session } from "../client/session.ts";
import type { TablePattern } from "../options/table-pattern.ts";
import { type CatalogTable, readTrees } from "./catalog-tables.ts";
import { type NamedTables, namedTables, numberedTables } from "./named-tables.ts";
import type { Names } from "./names.ts";
import type { FoundTable } from "./tables.ts";

export interface Published {
  readonly oid: string;
  /** Whether it carries our mark: nobody's own publication is ever altered. */
  readonly ours: boolean;
  readonly all: boolean;
  readonly viaRoot: boolean;
  /** Whether stored generated columns are among the columns (from version 18 on). */
  readonly generated: boolean;
  readonly ops: readonly string[];
  readonly tables: readonly PublishedTable[];
}

export interface PublishedTable {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** The number of the table's membership; empty where the publication is for all tables or for a schema. */
  readonly entry: string;
  readonly filtered: boolean;
  /** A hash of its row filter, the same for the same condition; null without. */
  readonly filter: string | null;
}

export interface JudgedTable extends PublishedTable {
  /** Its row filter, in SQL. */
  readonly condition: string | null;
  /** Null: all of them. */
  readonly columns: readonly string[] | null;
}

/** A publication with what is judged before a start; one that is not there has no tables, and publishes nothing. */
export interface PublicationFacts extends Published {
  readonly name: string;
  readonly exists: boolean;
  /**
   * Made since the place in the log where the source's slot stands, which nobody reads. One that was only altered has a
   * table or a comment from before; one for all tables has none, and may have been only altered.
   */
  readonly youngerThanSlot: boolean;
  /** Whether the worker's role may make it, or change it: then the worker does so by itself. */
  readonly mayMake: boolean;
  /** Whether tables come in that are not named: with all, or with a schema. */
  readonly open: boolean;
  readonly tables: readonly JudgedTable[];
  /** Where it tells of inserts alone: all its tables, those that are no concern of ours among them, with their partitions. */
  readonly inserted: readonly CatalogTable[];
}

/** Only one that carries our mark, so that nobody's own publication is ever altered. */
export function publicationMark(source: SourceId): string {
  return `made by millrace for the source ${source}`;
}

/** Then rows need not be told apart: no UPDATE or DELETE of the application can fail for it. */
export function insertsOnly(ops: readonly string[]): boolean {
  return !ops.includes("update") && !ops.includes("delete");
}

/** SQL: what publication `p` publishes of changes. */
const PUBLISHED_OPS = `ARRAY_REMOVE(ARRAY[CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
      CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END], NULL)`;

/** SQL: the schemas that publication `p` names, by what depends on it: version 14 has no catalog of them. */
export const SCHEMAS: string = `SELECT s.refobjid FROM pg_depend d JOIN pg_depend s ON s.classid = d.classid AND s.objid = d.objid
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
const fromPublished = (asked: string): string => `FROM (
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

/**
 * SQL of one row, whether the publication is there or not; name, mark and slot are the values behind those of `asked`. Newer
 * columns by way of JSON, and tables by joins: looking one up by its name takes a right on its schema.
 * @param judged with what only a judgement goes by, which costs more
 */
function published(asked: NamedTables, judged: boolean): string {
  const [name, mark, slot] = [1, 2, 3].map((nth) => `$${asked.values.length + nth}`);
  const ours = `coalesce(obj_description(p.oid, 'pg_publication') = ${mark}, false)`;
  const columns = `,
        'condition', CASE WHEN to_jsonb(r)->>'prqual' IS NOT NULL THEN (SELECT to_jsonb(t)->>'rowfilter' FROM pg_publication_tables t
          WHERE t.pubname = p.pubname AND t.schemaname = n.nspname AND t.tablename = c.relname) END,
        'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
          WHERE a.attrelid = c.oid AND to_jsonb(r)->'prattrs' @> to_jsonb(a.attnum))`;
  const facts = `,
    NOT pg_is_in_recovery() AND (SELECT coalesce(bool_and(pg_has_role(c.relowner, 'USAGE')), true) FROM pg_class c WHERE c.oid IN (${asked.text}))
      AND CASE WHEN p.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE pg_has_role(p.pubowner, 'USAGE') AND ${ours} END AS "mayMake",
    coalesce((SELECT NOT s.active AND age(p.xmin) <= age(s.catalog_xmin)
      AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND age(r.xmin) > age(s.catalog_xmin))
      AND NOT EXISTS (SELECT FROM pg_description d WHERE d.classoid = 'pg_publication'::regclass AND d.objoid = p.oid
        AND age(d.xmin) > age(s.catalog_xmin))
      FROM pg_replication_slots s WHERE s.slot_name = ${slot}), false) AS "youngerThanSlot",
    coalesce(p.puballtables, false) OR EXISTS (${SCHEMAS}) AS open`;
  return `
  SELECT p.oid IS NOT NULL AS exists, coalesce(p.oid::int8::text, '') AS oid, ${ours} AS ours,
    coalesce(p.puballtables, false) AS all, coalesce(p.pubviaroot, false) AS "viaRoot",
    coalesce(to_jsonb(p)->>'pubgencols' = 's', false) AS generated, ${PUBLISHED_OPS} AS ops,
    coalesce((
      SELECT json_agg(json_build_object('oid', c.oid::int8::text, 'schema', n.nspname, 'name', c.relname,
        'entry', coalesce(r.oid::int8::text, ''), 'filtered', to_jsonb(r)->>'prqual' IS NOT NULL,
        'filter', hashtextextended(regexp_replace(to_jsonb(r)->>'prqual', ' :location -?\\d+', '', 'g'), 0)::text${judged ? columns : ""}) ORDER BY c.oid)
      ${fromPublished(asked.text)}
    ), '[]') AS tables${judged ? facts : ""}
  FROM (SELECT) one LEFT JOIN pg_publication p ON p.pubname = ${name}`;
}

/**
 * Undefined when there is no publication of that name.
 * @param asked names tables: of those that come in with a schema, or with all, only theirs are told
 */
export async function readPublished(
  session: Session,
  source: SourceId,
  name: string,
  asked: readonly TablePattern[],
): Promise<Published | undefined> {
  const named = namedTables(asked);
  const values = [...named.values, name, publicationMark(source)];
  const [row] = await session.query<Published & { exists: boolean }>(published(named, false), values);
  return row?.exists === true ? row : undefined;
}

/** @param tables those that are configured */
export async function readPublication(
  session: Session,
  source: SourceId,
  names: Names,
  tables: readonly Pick<FoundTable, "oid">[],
  version: number,
): Promise<PublicationFacts> {
  const numbered = numberedTables(tables);
  const values = [...numbered.values, names.publication, publicationMark(source), names.slot];
  const [row] = await session.query<Omit<PublicationFacts, "name" | "inserted">>(published(numbered, true), values);
  const facts = row as Exclude<typeof row, undefined>;
  const oids = facts.exists && insertsOnly(facts.ops) ? facts.tables.map(({ oid }) => oid) : [];
  const inserted = [...(await readTrees(session, oids, version)).values()].flat();
  return { ...facts, name: names.publication, inserted };
}
