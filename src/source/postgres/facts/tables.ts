// The tables that the configured patterns name, and whether their updates and deletes can be told apart.

import type { Session } from "../client/session.ts";
import type { PostgresConfig } from "../options/config.ts";
import type { TablePattern } from "../options/table-pattern.ts";
import { type CatalogTable, identityOf, isAnonymous, primaryKeyOf, readTrees, toldBy } from "./catalog-tables.ts";
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

/** Only of those named and their ancestors is anything asked, and of all of them at once: a database may have many others. */
const candidates = (named: string): string => `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
    CASE WHEN c.relispartition THEN ARRAY(
      SELECT a.relid::oid::int8::text FROM pg_partition_ancestors(c.oid) a WHERE a.relid <> c.oid
    ) ELSE '{}' END AS ancestors
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid IN (${named}) AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  ORDER BY n.nspname, c.relname`;

export interface FoundTable extends SourceTable {
  readonly oid: string;
  /** Those of its partitions that patterns name too. */
  readonly partitions: readonly { readonly schema: string; readonly name: string }[];
}

/** A table with what its identity and its partitions' are. */
export interface TableFacts extends FoundTable {
  /** The server's version, as `server_version_num`. */
  readonly version: number;
  /** As the catalog has it. */
  readonly own: CatalogTable;
  /** Its columns; empty for a table without one. */
  readonly primaryKey: readonly string[];
  /** Its partitions and its partitioned parts, by their names. */
  readonly below: readonly CatalogTable[];
  /** Those that hold its rows: itself, or its partitions. */
  readonly written: readonly CatalogTable[];
  /** It and what is below it, without an identity that can be published; the upper ones first. */
  readonly anonymous: readonly CatalogTable[];
  /** Whether its updates and deletes, and those of its partitions, can be told apart. */
  readonly identified: boolean;
  /** Its replica identity, or a partition's, holds stored generated columns. */
  readonly storedIdentity: boolean;
}

export interface FoundTables<Table = FoundTable> {
  /** Tables and roots of partitioned tables; a partition belongs to its root. */
  readonly tables: readonly Table[];
  /** Patterns that name no table and should. */
  readonly unmatched: readonly TablePattern[];
}

/** What names tables, and what is said of each. */
export type TableSelection = Pick<PostgresConfig, "tables" | "rulesOf">;

/** The tables that the patterns name, whatever is wrong with them. */
export async function findTables(
  session: Session,
  { tables: patterns, rulesOf }: TableSelection,
): Promise<FoundTables> {
  type Candidate = Omit<FoundTable, "where" | "partitions"> & { readonly ancestors: readonly string[] };
  const named = namedTables(patterns);
  const all = await session.query<Candidate>(candidates(named.text), named.values);
  const matched = all.flatMap((table) => {
    const rules = rulesOf(table.schema, table.name);
    return rules === undefined ? [] : [{ ...table, where: rules.where }];
  });
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

/** The same with their facts. @param version of the server, as `server_version_num` */
export async function readTables(
  session: Session,
  selection: TableSelection,
  version: number,
): Promise<FoundTables<TableFacts>> {
  const { tables, unmatched } = await findTables(session, selection);
  const oids = tables.map(({ oid }) => oid);
  const trees = await readTrees(session, oids, version);
  // One that was dropped meanwhile has no facts.
  return { tables: tables.flatMap((table) => factsOf(table, trees.get(table.oid) ?? [], version)), unmatched };
}

function factsOf(table: FoundTable, tree: readonly CatalogTable[], version: number): readonly TableFacts[] {
  const [own, ...below] = tree;
  if (own === undefined) return [];
  const written = tree.filter(({ plain, logged }) => plain && logged);
  const anonymous = tree.filter(isAnonymous).sort((a, b) => a.level - b.level);
  const hasStored = (one: CatalogTable): boolean =>
    toldBy(one, identityOf(one)).some((column) => one.stored.includes(column));
  return [
    {
      ...table,
      ...{ version, own, below, written, anonymous, identified: anonymous.length === 0 },
      primaryKey: primaryKeyOf(own),
      storedIdentity: written.some(hasStored),
    },
  ];
}
