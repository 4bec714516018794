// Where rows are told from: the names and row filters of a source's tables, and what their partitions consist of.

import { formatCollectionName } from "../../../event/collection-name.ts";
import type { Session } from "../client/session.ts";
import type { Published } from "../facts/publication.ts";
import type { FoundTable } from "../facts/tables.ts";
import type { Places } from "../slot/slot-record.ts";

/** A partition, or a partitioned part of one. */
export interface Member {
  readonly root: string;
  readonly oid: string;
  readonly name: string;
  /** Its file's number, another one after each TRUNCATE and rewrite; "0" where it has none. */
  readonly node: string;
  /** The transaction that made it a part of what it is in. */
  readonly link: string;
  /** The transaction that altered it last. */
  readonly changed: string;
}

export interface Seen {
  readonly places: Places;
  readonly members: readonly Member[];
}

const membersQuery = `
  SELECT t.oid::int8::text AS root, c.oid::int8::text AS oid, n.nspname || '.' || c.relname AS name,
    c.relfilenode::int8::text AS node, i.xmin::text AS link, c.xmin::text AS changed
  FROM unnest($1::text[]::oid[]) t (oid) CROSS JOIN LATERAL pg_partition_tree(t.oid) m
  JOIN pg_class c ON c.oid = m.relid AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = m.parentrelid
  WHERE m.relid <> t.oid ORDER BY n.nspname, c.relname`;

/** @param tables those found; of them only what is published is told from */
export async function readPlaces(session: Session, published: Published, tables: readonly FoundTable[]): Promise<Seen> {
  const ours = new Set(published.tables.map(({ oid }) => oid));
  const told = tables.filter(({ oid }) => ours.has(oid));
  const roots = told.filter(({ partitioned }) => partitioned).map(({ oid }) => oid);
  const members = roots.length === 0 ? [] : await session.query<Member>(membersQuery, [roots]);
  const parts: Record<string, Record<string, string>> = Object.fromEntries(roots.map((oid) => [oid, {}]));
  for (const { root, oid, node, link, name } of members) {
    const own = parts[root];
    if (own !== undefined) own[oid] = `${node} ${link} ${name}`;
  }
  const filters = published.tables.flatMap(({ oid, filter }) => (filter === null ? [] : [[oid, filter] as const]));
  const names = told.map(({ oid, schema, name }) => [oid, collectionName(schema, name)] as const);
  return {
    members,
    places: { names: Object.fromEntries(names), filters: Object.fromEntries(filters), parts },
  };
}

function collectionName(namespace: string, collection: string): string {
  return formatCollectionName({ namespace, collection });
}

/** What the catalog has of a table by its number. */
export interface TableFacts {
  readonly oid: string;
  readonly name: string;
  /** As a record of an earlier version has it: the same but for quotes. */
  readonly bareName: string;
  /** Rows, its partitions' too, by the estimate of the last ANALYZE; null when there is none. */
  readonly estimate: number | null;
  readonly stored: boolean;
  /** Whether it was made as a partition, and not made a part of another by ATTACH. */
  readonly born: boolean;
}

/**
 * SQL: whether `c` was made by CREATE TABLE … PARTITION OF, by the commands of the transaction that made it, the same from 14
 * to 18: ATTACH writes every column anew. Defaults and NOT NULL may do so too; with them alone the count of commands
 * up to its place `i` tells.
 */
const BORN = `i.xmin = a.xmin AND CASE WHEN EXISTS (
      SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum > 0 AND NOT o.attisdropped AND NOT o.atthasdef AND NOT o.attnotnull
    ) THEN EXISTS (
      SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum > 0 AND NOT o.attisdropped AND o.xmin = a.xmin AND o.cmin = a.cmin
    ) ELSE i.cmin::text::int8 - a.cmin::text::int8 BETWEEN 0 AND 3 END`;

/** A table's system columns are of the transaction that made it, and are never altered. */
const factsQuery = `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS "table", n.nspname || '.' || c.relname AS "bareName",
    CASE WHEN e.low >= 0 THEN e.rows END AS estimate, coalesce(e.bytes, 0) > 0 AS stored,
    coalesce(${BORN}, false) AS born
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = -6
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
  CROSS JOIN LATERAL (
    SELECT min(l.reltuples) AS low, sum(l.reltuples)::float8 AS rows, sum(pg_relation_size(l.oid)) AS bytes
    FROM (SELECT c.oid UNION SELECT p.relid FROM pg_partition_tree(c.oid) p) o JOIN pg_class l ON l.oid = o.oid
    WHERE l.relkind = 'r'
  ) e
  WHERE c.oid = ANY ($1::text[]::oid[])`;

/** Reads the facts of those that are there. */
export async function readFacts(session: Session, oids: readonly string[]): Promise<ReadonlyMap<string, TableFacts>> {
  if (oids.length === 0) return new Map();
  type Row = Omit<TableFacts, "name"> & { readonly schema: string; readonly table: string };
  const rows = await session.query<Row>(factsQuery, [oids]);
  return new Map(rows.map(({ schema, table, ...row }) => [row.oid, { ...row, name: collectionName(schema, table) }]));
}
