// The tables that the configured patterns name, and whether their updates and deletes can be told apart.

import { ConfigError } from "../../../errors.ts";
import type { Session } from "../client/session.ts";
import { quoteTable } from "../client/sql.ts";
import type { PostgresConfig } from "../options/config.ts";
import type { TableItem } from "../options/table-options.ts";
import { includesTable, type TablePattern } from "../options/table-pattern.ts";
import { conditionsOf, tableRules } from "../options/table-rules.ts";
import { type CatalogTable, primaryKeyOf, readTrees } from "./catalog-tables.ts";
import { checkRules } from "./check-rules.ts";
import { namedTables } from "./named-tables.ts";
import { identityOf, isAnonymous, toldBy } from "./refused-writes.ts";

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

/** The same with their facts. @param version of the server, as `server_version_num` */
export async function readTables(
  session: Session,
  patterns: readonly TableItem[],
  version: number,
): Promise<FoundTables<TableFacts>> {
  const { tables, unmatched } = await findTables(session, patterns);
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

export interface MatchedTables {
  /** Tables and roots of partitioned tables; a partition belongs to its root. */
  readonly tables: readonly TableFacts[];
  /** Such a table in a publication would make the application's own UPDATE and DELETE fail. */
  readonly anonymous: readonly TableFacts[];
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
export function matchTables(
  { tables, unmatched }: FoundTables<TableFacts>,
  { tables: items, maskKey }: Pick<PostgresConfig, "tables" | "maskKey">,
  { anyIdentity = false, started = false }: MatchOptions = {},
): MatchedTables {
  const gone = started ? unmatched.filter(({ outbox }) => outbox !== true) : [];
  const pattern = unmatched.find((one) => !gone.includes(one));
  if (pattern !== undefined) throw matchesNothing(pattern);
  checkRules(items, tableRules(items, maskKey), tables);
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
export function withoutIdentity(tables: readonly TableFacts[]): ConfigError {
  const names = tables.map((table) => `${table.schema}.${table.name}`).join(", ");
  const [first] = tables as readonly [TableFacts];
  const table = quoteTable(first);
  const way =
    first.own.replident !== "d" && first.own.primaryKey.length > 0
      ? "REPLICA IDENTITY DEFAULT"
      : "ADD PRIMARY KEY (...)";
  const message = `rows of ${names} cannot be told apart: no replica identity that can be published`;
  return new ConfigError("TABLE_WITHOUT_IDENTITY", message, {
    hint: `For each what \`millrace check\` prints: ALTER TABLE ${table} ${way}, or REPLICA IDENTITY FULL (not with virtual generated columns), or leave it out with "!${first.schema}.${first.name}" in tables.`,
  });
}
