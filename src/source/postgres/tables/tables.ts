// The tables that the configured patterns name, and whether their updates and deletes can be told apart.

import { ConfigError } from "../../../errors.ts";
import type { Session } from "../client/session.ts";
import { quoteTable } from "../client/sql.ts";
import type { PostgresConfig } from "../options/config.ts";
import type { TableItem } from "../options/table-options.ts";
import { includesTable, type TablePattern } from "../options/table-pattern.ts";
import { conditionsOf, tableRules } from "../options/table-rules.ts";
import { checkRules } from "./check-rules.ts";
import { namedTables } from "./named-tables.ts";

export interface SourceTable {
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  /** Conditions of `tables` that its rows must meet. */
  readonly where: readonly string[];
  /** Its replica identity, or a partition's, holds stored generated columns. */
  readonly storedIdentity?: boolean;
}

/** SQL: whether a table has columns that no publication can hold: under replica identity FULL its writes would be refused. */
export const HAS_VIRTUAL = (relation: string): string =>
  `(${relation}.relkind = 'r' AND EXISTS (SELECT FROM pg_attribute v WHERE v.attrelid = ${relation}.oid AND v.attgenerated = 'v' AND NOT v.attisdropped))`;

/**
 * A key that may be deferred cannot identify a row; a partition's own identity counts, its root's is not inherited. What is
 * asked of a table is asked of those named and their partitions alone, and of all of them at once: a database may have
 * many others.
 */
const candidates = (named: string): string => `
  WITH named AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid IN (${named}) AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
      AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  ), members AS (
    SELECT oid AS root, oid AS relid FROM named
    UNION SELECT n.oid, t.relid FROM named n CROSS JOIN LATERAL pg_partition_tree(n.oid) t WHERE n.relkind = 'p'
  ), anonymous AS (
    SELECT DISTINCT m.root FROM members m JOIN pg_class c ON c.oid = m.relid
    WHERE c.relkind IN ('r', 'p') AND NOT (c.relreplident = 'f' AND NOT ${HAS_VIRTUAL("c")} OR EXISTS (
      SELECT FROM pg_index i
      WHERE i.indrelid = c.oid AND i.indisvalid
        AND (c.relreplident = 'd' AND i.indisprimary AND i.indimmediate OR c.relreplident = 'i' AND i.indisreplident)
    ))
  )
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
    CASE WHEN named.relispartition THEN ARRAY(
      SELECT a.relid::oid::int8::text FROM pg_partition_ancestors(c.oid) a WHERE a.relid <> c.oid
    ) ELSE '{}' END AS ancestors,
    anonymous.root IS NULL AS identified,
    c.relreplident <> 'd'
      AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate) AS keyed
  FROM named JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN anonymous ON anonymous.root = c.oid
  ORDER BY n.nspname, c.relname`;

export interface FoundTable extends SourceTable {
  readonly oid: string;
  /** Whether its updates and deletes, and those of its partitions, can be told apart. */
  readonly identified: boolean;
  /** Whether its primary key would serve if the replica identity were not another one, or none. */
  readonly keyed: boolean;
  /** Those of its partitions that patterns name too. */
  readonly partitions: readonly { readonly schema: string; readonly name: string }[];
}

export interface FoundTables {
  /** Tables and roots of partitioned tables; a partition belongs to its root. */
  readonly tables: readonly FoundTable[];
  /** Patterns that name no table and should. */
  readonly unmatched: readonly TablePattern[];
}

/** The tables that the patterns name, whatever is wrong with them. */
export async function findTables(session: Session, patterns: readonly TableItem[]): Promise<FoundTables> {
  type Candidate = Omit<FoundTable, "where" | "partitions"> & { readonly ancestors: readonly string[] };
  const named = namedTables(patterns);
  const all = await session.query<Candidate>(candidates(named.text), named.values);
  const matched = all
    .filter((table) => includesTable(patterns, table.schema, table.name))
    .map((table) => ({ ...table, where: conditionsOf(patterns, table.schema, table.name) }));
  const oids = new Set(matched.map((table) => table.oid));
  const partitions = new Map<string, FoundTable["partitions"][number][]>();
  for (const { ancestors, schema, name } of matched) {
    for (const oid of ancestors) {
      const known = partitions.get(oid);
      if (known === undefined) partitions.set(oid, [{ schema, name }]);
      else known.push({ schema, name });
    }
  }
  return {
    tables: matched
      .filter((table) => !table.ancestors.some((oid) => oids.has(oid)))
      .map((table) => ({ ...table, partitions: partitions.get(table.oid) ?? [] })),
    unmatched: patterns.filter(
      (pattern) =>
        !pattern.excludes && !pattern.optional && !matched.some((table) => pattern.matches(table.schema, table.name)),
    ),
  };
}

export interface MatchedTables {
  /** Tables and roots of partitioned tables; a partition belongs to its root. */
  readonly tables: readonly FoundTable[];
  /** Such a table in a publication would make the application's own UPDATE and DELETE fail. */
  readonly anonymous: readonly FoundTable[];
  /** Patterns that name no table, where that is no reason to refuse. */
  readonly gone: readonly TablePattern[];
}

export interface MatchOptions {
  /** The publication publishes neither updates nor deletes: then none is anonymous. */
  readonly anyIdentity?: boolean;
  /** The source has been read before: a table that is gone since does not stop all others. */
  readonly started?: boolean;
}

/**
 * @throws ConfigError TABLES_MATCH_NOTHING, TABLE_OPTIONS_IGNORED, TABLE_EXCLUSION_IGNORED, TABLE_COLUMN_UNKNOWN,
 *   TABLE_KEY_HIDDEN
 */
export async function matchTables(
  session: Session,
  { tables: items, maskKey }: Pick<PostgresConfig, "tables" | "maskKey">,
  { anyIdentity = false, started = false }: MatchOptions = {},
): Promise<MatchedTables> {
  const { tables, unmatched } = await findTables(session, items);
  const gone = started ? unmatched.filter(({ outbox }) => outbox !== true) : [];
  const pattern = unmatched.find((one) => !gone.includes(one));
  if (pattern !== undefined) throw matchesNothing(pattern);
  await checkRules(session, items, tableRules(items, maskKey), tables);
  return {
    tables: tables.filter((table) => table.identified || anyIdentity),
    anonymous: tables.filter((table) => !table.identified && !anyIdentity),
    gone,
  };
}

export function matchesNothing(pattern: TablePattern): ConfigError {
  if (pattern.outbox) {
    return new ConfigError("OUTBOX_MISSING", `there is no outbox table ${pattern.text}`, {
      hint: "Let the owner of the database run what `millrace sql outbox` prints, or set the option outbox.table.",
    });
  }
  return new ConfigError("TABLES_MATCH_NOTHING", `no table matches ${JSON.stringify(pattern.text)}`, {
    hint: "Create the table first, or correct the pattern; it must be spelt as in the database, upper and lower case.",
  });
}

/** @param tables at least one */
export function withoutIdentity(tables: readonly FoundTable[]): ConfigError {
  const names = tables.map((table) => `${table.schema}.${table.name}`).join(", ");
  const [first] = tables as readonly [FoundTable];
  const table = quoteTable(first);
  const way = first.keyed ? "REPLICA IDENTITY DEFAULT" : "ADD PRIMARY KEY (...)";
  const message = `rows of ${names} cannot be told apart: no replica identity that can be published`;
  return new ConfigError("TABLE_WITHOUT_IDENTITY", message, {
    hint: `For each what \`millrace check\` prints: ALTER TABLE ${table} ${way}, or REPLICA IDENTITY FULL (not with virtual generated columns), or leave it out with "!${first.schema}.${first.name}" in tables.`,
  });
}
