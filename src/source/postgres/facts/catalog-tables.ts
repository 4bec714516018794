// What the catalog says of a table and its partitions by which Postgres decides whether the application may write to them.

import type { Session } from "../client/session.ts";

/** A publication that tells of the table's updates or deletes, and how it has the table. */
export interface Publishing {
  readonly publication: string;
  /** Whether stored generated columns are published. */
  readonly generated: boolean;
  /** Its column list, by the names of the columns; null: all of them. */
  readonly list: readonly string[] | null;
  /** Columns that its row filter reads. */
  readonly filter: readonly string[];
}

/** A table, a partition, or a partitioned part of a table. */
export interface CatalogTable {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** How far below its root; 0 for the root itself. */
  readonly level: number;
  /** Whether it holds rows, and not only partitions. */
  readonly plain: boolean;
  /** Whether its rows are in the log. */
  readonly logged: boolean;
  /** `pg_class.relreplident`: default, index, full, nothing. */
  readonly replident: "d" | "i" | "f" | "n";
  readonly columns: readonly string[];
  /** `pg_attribute.attnum` of each column. */
  readonly numbers: readonly number[];
  readonly stored: readonly string[];
  readonly virtual: readonly string[];
  /** The columns of a primary key that may identify rows; empty where there is none. */
  readonly primaryKey: readonly string[];
  /** A primary key that may not, for two rows may have one key for a moment. */
  readonly deferrableKey: Index | null;
  /** The columns of the index that is its replica identity; empty where none is. */
  readonly index: readonly string[];
  /** Its part of the index that is its root's replica identity, where an index is. */
  readonly rootIndex: string | null;
  /** Another unique index that could be its identity. */
  readonly candidate: Index | null;
  readonly publishing: readonly Publishing[];
  /** The same for publications that tell of inserts alone. */
  readonly inserting: readonly Publishing[];
}

interface Index {
  readonly name: string;
  readonly columns: readonly string[];
}

/** The columns of its primary key, checked at once or later; empty for a table without one. */
export function primaryKeyOf({ primaryKey, deferrableKey }: CatalogTable): readonly string[] {
  return deferrableKey?.columns ?? primaryKey;
}

/** By which rows are told apart: "full", or the columns of a key. */
export type Identity = "full" | readonly string[];

export function identityOf({ replident, primaryKey, index }: CatalogTable): Identity {
  if (replident === "f") return "full";
  return replident === "d" ? primaryKey : replident === "i" ? index : [];
}

/** The columns that tell rows apart; with replica identity FULL all of them. */
export function toldBy({ columns }: Pick<CatalogTable, "columns">, identity: Identity): readonly string[] {
  return identity === "full" ? columns : identity;
}

/** Whether no publication that tells of updates may have the table: it has no identity, or one that none can hold. */
export function isAnonymous(table: CatalogTable): boolean {
  const identity = identityOf(table);
  return identity === "full" ? table.plain && table.virtual.length > 0 : identity.length === 0;
}

/** From here on publications know schemas, row filters and column lists. */
const SCHEMAS_VERSION = 150_000;

const columnsOf = (relation: string, condition: string): string =>
  `ARRAY(SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = ${relation} AND a.attnum > 0 AND NOT a.attisdropped AND ${condition} ORDER BY a.attnum)`;

const IN_INDEX = "a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])";

const ofIndex = (condition: string): string =>
  columnsOf(
    "c.oid",
    `EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND ${condition} AND ${IN_INDEX})`,
  );

const firstIndex = (condition: string): string => `(
  SELECT json_build_object('name', x.relname, 'columns', ${columnsOf("c.oid", IN_INDEX)})
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND ${condition} ORDER BY x.relname LIMIT 1)`;

/** What an index must be that is named in REPLICA IDENTITY USING INDEX. */
const candidate =
  firstIndex(`i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisprimary AND NOT i.indisexclusion
    AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attnotnull AND ${IN_INDEX})`);

/**
 * A publication has a partition by way of the partition itself or of any table above it; its row filter and its column list
 * are those of the topmost one where it publishes by way of the root. It takes no lock of the tables.
 */
const facts = (version: number): string => `
  WITH RECURSIVE tree (root, relid, level) AS (
    SELECT root, root, 0 FROM unnest($1::text[]::oid[]) root
    UNION SELECT t.root, i.inhrelid, t.level + 1 FROM tree t JOIN pg_inherits i ON i.inhparent = t.relid
      JOIN pg_class p ON p.oid = i.inhrelid WHERE p.relispartition
  )
  SELECT t.root::int8::text AS root, c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, t.level, c.relkind = 'r' AS plain,
    c.relpersistence = 'p' AS logged, c.relreplident AS replident, ${columnsOf("c.oid", "true")} AS columns,
    ARRAY(SELECT a.attnum::int FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS numbers,
    ${columnsOf("c.oid", "a.attgenerated = 's'")} AS stored, ${columnsOf("c.oid", "a.attgenerated = 'v'")} AS virtual,
    ${ofIndex("i.indisprimary")} AS "primaryKey", ${firstIndex("i.indisprimary AND NOT i.indimmediate")} AS "deferrableKey",
    ${ofIndex("i.indisreplident")} AS index, (
      SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND t.level > 0
        AND EXISTS (SELECT FROM pg_partition_ancestors(x.oid) up JOIN pg_index top ON top.indexrelid = up.relid
          WHERE top.indrelid = t.root AND top.indisreplident)
    ) AS "rootIndex", ${candidate} AS candidate,
    coalesce(publishing, '[]') AS publishing, coalesce(inserting, '[]') AS inserting
  FROM tree t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (
    SELECT json_agg(entry) FILTER (WHERE telling) AS publishing, json_agg(entry) FILTER (WHERE NOT telling) AS inserting
    FROM (
      SELECT p.pubupdate OR p.pubdelete AS telling, json_build_object('publication', p.pubname,
        'generated', coalesce(to_jsonb(p)->>'pubgencols' = 's', false),
        'list', CASE WHEN to_jsonb(r)->>'prattrs' IS NOT NULL THEN
          ${columnsOf("r.prrelid", "to_jsonb(r)->'prattrs' @> to_jsonb(a.attnum)")} END,
        'filter', ${columnsOf(
          "r.prrelid",
          "a.attnum IN (SELECT m[1]::int FROM regexp_matches(to_jsonb(r)->>'prqual', ':varattno (\\d+)', 'g') m)",
        )}) AS entry
      FROM (
        WITH up (relid, place) AS (
          SELECT c.oid, 1 UNION ALL SELECT a.relid, a.place + 1 FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a (relid, place)
          WHERE a.relid <> c.oid
        )
        SELECT m.pub, coalesce((array_agg(m.relid ORDER BY m.place DESC) FILTER (WHERE m.place > 1))[1], c.oid) AS via
        FROM (
          SELECT r.prpubid AS pub, up.relid, up.place FROM up JOIN pg_publication_rel r ON r.prrelid = up.relid
          ${version < SCHEMAS_VERSION ? "" : "UNION ALL SELECT s.pnpubid, up.relid, up.place FROM up JOIN pg_class a ON a.oid = up.relid JOIN pg_publication_namespace s ON s.pnnspid = a.relnamespace"}
          UNION ALL SELECT p.oid, c.oid, 1 FROM pg_publication p WHERE p.puballtables
        ) m WHERE c.relkind = 'r' AND c.relpersistence = 'p' GROUP BY m.pub
      ) member JOIN pg_publication p ON p.oid = member.pub
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = CASE WHEN p.pubviaroot THEN member.via ELSE c.oid END
    ) entries
  ) publications
  WHERE c.relkind IN ('r', 'p')
  ORDER BY t.root, t.level > 0, n.nspname, c.relname`;

/**
 * Each of the tables, and behind it all that is below it by their names, by the oids of the tables.
 * @param version of the server, as `server_version_num`
 */
export async function readTrees(
  session: Session,
  oids: readonly string[],
  version: number,
): Promise<ReadonlyMap<string, readonly CatalogTable[]>> {
  const trees = new Map<string, CatalogTable[]>();
  if (oids.length === 0) return trees;
  for (const { root, ...table } of await session.query<CatalogTable & { root: string }>(facts(version), [oids])) {
    const tree = trees.get(root);
    if (tree === undefined) trees.set(root, [table]);
    else tree.push(table);
  }
  return trees;
}
