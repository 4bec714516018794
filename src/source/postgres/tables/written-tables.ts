// What the catalog says of each table that holds rows by which Postgres decides whether the application may write to it.

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

/** One that holds rows: a plain table, or a partition. */
export interface WrittenTable {
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relreplident`: default, index, full, nothing. */
  readonly replident: "d" | "i" | "f" | "n";
  readonly columns: readonly string[];
  /** Of a primary key that may identify rows; empty where there is none. */
  readonly primaryKey: readonly string[];
  /** Of the index that is its replica identity; empty where none is. */
  readonly index: readonly string[];
  /** Another unique index that could be its identity. */
  readonly candidate: { readonly name: string; readonly columns: readonly string[] } | null;
  readonly stored: readonly string[];
  readonly virtual: readonly string[];
  readonly publishing: readonly Publishing[];
  /** The same for publications that tell of inserts alone. */
  readonly inserting: readonly Publishing[];
}

/** From here on publications know schemas, row filters and column lists. */
const SCHEMAS_VERSION = 150_000;

const columnsOf = (relation: string, condition: string): string =>
  `ARRAY(SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = ${relation} AND a.attnum > 0 AND NOT a.attisdropped AND ${condition} ORDER BY a.attnum)`;

const ofIndex = (condition: string): string =>
  columnsOf(
    "c.oid",
    `EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND ${condition}
      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))`,
  );

/** What an index must be that is named in REPLICA IDENTITY USING INDEX. */
const candidate = `
  SELECT json_build_object('name', x.relname, 'columns', ${columnsOf("c.oid", "a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])")})
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
  WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisprimary
    AND NOT i.indisexclusion AND i.indpred IS NULL
    AND i.indexprs IS NULL AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attnotnull
      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
  ORDER BY x.relname LIMIT 1`;

/**
 * A publication has a partition by way of the partition itself or of any table above it; its row filter and its column list
 * are those of the topmost one where it publishes by way of the root. It takes no lock of the tables.
 */
const facts = (version: number): string => `
  WITH RECURSIVE tree (root, relid) AS (
    SELECT root, root FROM unnest($1::text[]::oid[]) root
    UNION SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.relid
      JOIN pg_class p ON p.oid = i.inhrelid WHERE p.relispartition
  )
  SELECT t.root::int8::text AS root, n.nspname AS schema, c.relname AS name, c.relreplident AS replident,
    ${columnsOf("c.oid", "true")} AS columns, ${ofIndex("i.indisprimary")} AS "primaryKey",
    ${ofIndex("i.indisreplident")} AS index, (${candidate}) AS candidate,
    ${columnsOf("c.oid", "a.attgenerated = 's'")} AS stored, ${columnsOf("c.oid", "a.attgenerated = 'v'")} AS virtual,
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
        ) m GROUP BY m.pub
      ) member JOIN pg_publication p ON p.oid = member.pub
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = CASE WHEN p.pubviaroot THEN member.via ELSE c.oid END
    ) entries
  ) publications
  WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  ORDER BY t.root, n.nspname, c.relname`;

/**
 * Those that hold the rows of tables, by the oids of the tables given.
 * @param version of the server, as `server_version_num`
 */
export async function readWritten(
  session: Session,
  oids: readonly string[],
  version: number,
): Promise<ReadonlyMap<string, readonly WrittenTable[]>> {
  const written = new Map<string, WrittenTable[]>();
  if (oids.length === 0) return written;
  for (const { root, ...table } of await session.query<WrittenTable & { root: string }>(facts(version), [oids])) {
    written.set(root, [...(written.get(root) ?? []), table]);
  }
  return written;
}
