// What `check` goes by of a publication, as the catalog has it.

import type { SourceId } from "../../../event/source-id.ts";
import type { Session } from "../client/session.ts";
import { readTrees } from "./catalog-tables.ts";
import { publicationMark } from "./publication-sql.ts";
import { fromPublished, insertsOnly, PUBLISHED_OPS, SCHEMAS } from "./published.ts";
import { identityOf, refusalOf } from "./refused-writes.ts";
import type { FoundTable } from "./tables.ts";

export interface PublicationFacts {
  readonly name: string;
  readonly exists: boolean;
  /**
   * Made since the place in the log where the source's slot stands, which nobody reads. One that was only altered has a
   * table or a comment from before; one for all tables has none, and may have been only altered.
   */
  readonly youngerThanSlot: boolean;
  /** Whether it carries our mark. */
  readonly ours: boolean;
  /** Where it tells of inserts alone: tables whose updates and deletes Postgres would refuse if it told of all. */
  readonly unfit: readonly string[];
  /** Whether the worker's role may make it, or change it: then the worker does so by itself. */
  readonly mayMake: boolean;
  readonly ops: readonly string[];
  readonly viaRoot: boolean;
  readonly generated: boolean;
  readonly all: boolean;
  /** Whether tables come in that are not named: with all, or with a schema. */
  readonly open: boolean;
  readonly tables: readonly PublishedTable[];
}

export interface PublishedTable {
  readonly schema: string;
  readonly name: string;
  readonly oid: string;
  /** Null: all of them. */
  readonly columns: readonly string[] | null;
  readonly filter: string | null;
  /** Whether it is named by itself, and not come in with all tables or a schema. */
  readonly member: boolean;
  /** Those that the filter reads. */
  readonly filterColumns: readonly string[];
}

export async function readPublication(
  session: Session,
  id: SourceId,
  name: string,
  tables: readonly Pick<FoundTable, "oid">[],
  { slot, version }: { readonly slot: string; readonly version: number },
): Promise<PublicationFacts> {
  const [row] = await session.query<Omit<PublicationFacts, "name" | "unfit">>(facts, [
    name,
    publicationMark(id),
    tables.map(({ oid }) => oid),
    slot,
  ]);
  const publication = { name, unfit: [], ...(row as Omit<PublicationFacts, "name" | "unfit">) };
  return { ...publication, unfit: await readUnfit(session, publication, version) };
}

/** Looks at all its tables, those that are no concern of ours among them. */
async function readUnfit(
  session: Session,
  { name, exists, ops, tables }: PublicationFacts,
  version: number,
): Promise<readonly string[]> {
  if (!exists || !insertsOnly(ops)) return [];
  const oids = tables.map(({ oid }) => oid);
  const written = [...(await readTrees(session, oids, version)).values()].flat();
  const unfit = written.filter((one) =>
    one.inserting.some((by) => by.publication === name && refusalOf(one, by, identityOf(one), version) !== undefined),
  );
  return [...new Set(unfit.map((one) => `${one.schema}.${one.name}`))];
}

/**
 * Newer columns by way of JSON, and columns of a filter out of its tree: both work from 14 on. Tables by their numbers and
 * joins: looking one up by its name takes a right on its schema.
 */
const facts = `
  SELECT p.oid IS NOT NULL AS exists, coalesce(obj_description(p.oid, 'pg_publication') = $2, false) AS ours,
    NOT pg_is_in_recovery() AND (SELECT coalesce(bool_and(pg_has_role(c.relowner, 'USAGE')), true) FROM pg_class c WHERE c.oid = ANY ($3::text[]::oid[]))
      AND CASE WHEN p.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE pg_has_role(p.pubowner, 'USAGE') AND coalesce(obj_description(p.oid, 'pg_publication') = $2, false) END AS "mayMake",
    ${PUBLISHED_OPS} AS ops,
    coalesce(pubviaroot, false) AS "viaRoot",
    coalesce((SELECT NOT s.active AND age(p.xmin) <= age(s.catalog_xmin)
      AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND age(r.xmin) > age(s.catalog_xmin))
      AND NOT EXISTS (SELECT FROM pg_description d WHERE d.classoid = 'pg_publication'::regclass AND d.objoid = p.oid
        AND age(d.xmin) > age(s.catalog_xmin))
      FROM pg_replication_slots s WHERE s.slot_name = $4), false) AS "youngerThanSlot",
    coalesce(to_jsonb(p)->>'pubgencols' = 's', false) AS generated,
    coalesce(puballtables, false) AS all,
    coalesce(puballtables, false) OR EXISTS (${SCHEMAS}) AS open,
    coalesce((
      SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'oid', c.oid::int8::text, 'member', r.oid IS NOT NULL,
        'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
          WHERE a.attrelid = c.oid AND to_jsonb(r)->'prattrs' @> to_jsonb(a.attnum)),
        'filter', CASE WHEN to_jsonb(r)->>'prqual' IS NOT NULL THEN (SELECT to_jsonb(t)->>'rowfilter'
          FROM pg_publication_tables t
          WHERE t.pubname = p.pubname AND t.schemaname = n.nspname AND t.tablename = c.relname) END,
        'filterColumns', ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum IN (
          SELECT m[1]::int FROM regexp_matches(to_jsonb(r)->>'prqual', ':varattno (\\d+)', 'g') m))))
      ${fromPublished("SELECT unnest($3::text[]::oid[])")}
    ), '[]') AS tables
  FROM (SELECT) one LEFT JOIN pg_publication p ON p.pubname = $1`;
