// What only `check` asks of tables: it reads the sizes of files, waits for who locks a table, and looks through all of them.

import type { Session } from "../client/session.ts";
import type { RulesOf } from "../options/table-rules.ts";
import { type CatalogTable, identityOf, readTrees, toldBy } from "./catalog-tables.ts";
import type { TableFacts } from "./tables.ts";

export interface CheckedTable extends TableFacts {
  /** Columns that may be stored apart, where some value of the table is. */
  readonly toasted: readonly string[];
  readonly rowSecurity: boolean;
}

/** The server's tree of a table without partitions is empty, without even itself. */
const facts = `
  SELECT c.oid::int8::text AS oid, c.relrowsecurity AS "rowSecurity", CASE WHEN EXISTS (
      SELECT FROM (SELECT c.oid AS relid UNION SELECT p.relid FROM pg_partition_tree(c.oid) p) t JOIN pg_class r ON r.oid = t.relid
      WHERE r.reltoastrelid <> 0 AND pg_relation_size(r.reltoastrelid) > 0
    ) THEN ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attlen = -1 AND a.attstorage <> 'p' ORDER BY a.attnum) ELSE '{}' END AS toasted
  FROM pg_class c WHERE c.oid = ANY ($1::text[]::oid[])`;

export async function readChecked(session: Session, tables: readonly TableFacts[]): Promise<readonly CheckedTable[]> {
  type Row = Omit<CheckedTable, keyof TableFacts> & { oid: string };
  const rows = await session.query<Row>(facts, [tables.map(({ oid }) => oid)]);
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  return tables.flatMap((table) => {
    const row = byOid.get(table.oid);
    return row === undefined ? [] : [{ ...row, ...table }]; // else dropped meanwhile
  });
}

export interface UnloggedTable {
  readonly schema: string;
  readonly name: string;
  /** It is another server's: then that one has to be read. */
  readonly foreign: boolean;
  /** Whether the application could still update and delete its rows if it were published. */
  readonly fit: boolean;
}

const unlogged = `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'f' AS foreign
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.relkind IN ('r', 'p') AND c.relpersistence = 'u' OR c.relkind = 'f')
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  ORDER BY n.nspname, c.relname`;

/** Tables whose rows are never in the log, and that patterns name all the same. */
export async function readUnlogged(
  session: Session,
  rulesOf: RulesOf,
  version: number,
): Promise<readonly UnloggedTable[]> {
  const rows = await session.query<Omit<UnloggedTable, "fit"> & { oid: string }>(unlogged);
  const named = rows.filter(({ schema, name }) => rulesOf(schema, name) !== undefined);
  const oids = named.map(({ oid }) => oid);
  const trees = await readTrees(session, oids, version);
  return named.map((table) => ({ ...table, fit: (trees.get(table.oid) ?? []).slice(0, 1).some(isFit) }));
}

function isFit(table: CatalogTable): boolean {
  const told = toldBy(table, identityOf(table));
  return told.length > 0 && ![...table.stored, ...table.virtual].some((column) => told.includes(column));
}
