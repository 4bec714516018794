// Whether the options of `tables` fit the tables: a misspelt column would leave unmasked, a hidden key would mix rows up.

import { ConfigError } from "../../../errors.ts";
import type { Session } from "../client/session.ts";
import type { TableItem } from "../options/table-options.ts";
import { checkKey, namedColumns, type RulesOf } from "../options/table-rules.ts";

interface TableName {
  readonly schema: string;
  readonly name: string;
}

interface RuledTable extends TableName {
  readonly oid: string;
}

export interface TableColumns extends RuledTable {
  readonly columns: readonly { readonly name: string; readonly attnum: number }[];
  /** As events have it: under full identity the primary key. */
  readonly key: readonly string[];
}

const columnsOf = `
  SELECT c.oid::int8::text AS oid,
    (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'attnum', a.attnum)), '[]') FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid
      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
      WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) AS key
  FROM pg_class c WHERE c.oid = ANY ($1::text[]::oid[])`;

/**
 * Of the tables that some item says something of columns of.
 * @param also others, by their oid
 */
export async function readRuled(
  session: Session,
  items: readonly TableItem[],
  tables: readonly RuledTable[],
  also: ReadonlySet<number> = new Set(),
): Promise<readonly TableColumns[]> {
  const named = items.filter(namesColumns);
  const ruled = tables.filter(
    ({ oid, schema, name }) => also.has(Number(oid)) || named.some((item) => item.matches(schema, name)),
  );
  if (ruled.length === 0) return [];
  const rows = await session.query<Pick<TableColumns, "oid" | "columns" | "key">>(columnsOf, [
    ruled.map(({ oid }) => oid),
  ]);
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  return ruled.flatMap((table): readonly TableColumns[] => {
    const row = byOid.get(table.oid);
    return row === undefined ? [] : [{ ...table, ...row }];
  });
}

/** @throws ConfigError TABLE_OPTIONS_IGNORED, TABLE_EXCLUSION_IGNORED, TABLE_COLUMN_UNKNOWN, TABLE_KEY_HIDDEN */
export async function checkRules(
  session: Session,
  items: readonly TableItem[],
  rulesOf: RulesOf,
  tables: readonly (RuledTable & { readonly partitioned: boolean; readonly partitions: readonly TableName[] })[],
): Promise<void> {
  await checkExclusions(session, items, tables);
  for (const item of items.filter(({ options }) => options !== undefined)) {
    for (const { schema, name, partitions } of tables) {
      const ignored = item.matches(schema, name) ? [] : partitions.filter((one) => item.matches(one.schema, one.name));
      if (ignored[0] !== undefined) throw optionsIgnored(item, ignored[0], { schema, name });
    }
  }
  const described = await readRuled(session, items, tables);
  for (const item of items.filter(namesColumns)) {
    const own = described.filter(({ schema, name }) => item.matches(schema, name));
    if (own.length === 0) continue; // of tables that are not there: told by itself
    const known = new Set(own.flatMap(({ columns }) => columns.map(({ name }) => name)));
    const unknown = (item.options === undefined ? [] : namedColumns(item.options)).filter((name) => !known.has(name));
    if (unknown.length > 0) throw columnUnknown(item, unknown);
  }
  for (const { schema, name, key } of described) {
    const rules = rulesOf(schema, name);
    if (rules !== undefined) checkKey(schema, name, key, rules);
  }
}

const partitionsOf = `
  SELECT root::text AS root, n.nspname AS schema, c.relname AS name
  FROM unnest($1::text[]::oid[]) root CROSS JOIN LATERAL pg_partition_tree(root) t
  JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE t.level > 0 ORDER BY n.nspname, c.relname`;

/** A partition's rows come under the name of its root: an exclusion of the one would leave nothing out. */
async function checkExclusions(
  session: Session,
  items: readonly TableItem[],
  tables: readonly (RuledTable & { readonly partitioned: boolean })[],
): Promise<void> {
  const exclusions = items.filter(({ excludes }) => excludes);
  const roots = new Map(tables.filter(({ partitioned }) => partitioned).map((table) => [table.oid, table]));
  if (exclusions.length === 0 || roots.size === 0) return;
  const partitions = await session.query<TableName & { root: string }>(partitionsOf, [[...roots.keys()]]);
  for (const partition of partitions) {
    const item = exclusions.find((one) => one.matches(partition.schema, partition.name));
    const root = roots.get(partition.root);
    if (item !== undefined && root !== undefined) throw exclusionIgnored(item, partition, root);
  }
}

function exclusionIgnored({ text }: TableItem, partition: TableName, root: TableName): ConfigError {
  const whole = `${root.schema}.${root.name}`;
  const message = `${JSON.stringify(text)} would leave nothing out: rows of the partition ${partition.schema}.${partition.name} come under ${whole}`;
  return new ConfigError("TABLE_EXCLUSION_IGNORED", message, {
    hint: `Leave out the root with "!${whole}": then its other partitions are read as tables of their own. Or take the exclusion away.`,
  });
}

function namesColumns({ options }: TableItem): boolean {
  return options !== undefined && namedColumns(options).length > 0;
}

function optionsIgnored({ text }: TableItem, partition: TableName, root: TableName): ConfigError {
  const whole = `${root.schema}.${root.name}`;
  const message = `options of ${JSON.stringify(text)} cannot hold: rows of the partition ${partition.schema}.${partition.name} come under ${whole}`;
  return new ConfigError("TABLE_OPTIONS_IGNORED", message, {
    hint: `Let the item match ${whole}, or leave that out with "!${whole}": then its partitions are read as tables of their own.`,
  });
}

function columnUnknown({ text }: TableItem, columns: readonly string[]): ConfigError {
  return new ConfigError("TABLE_COLUMN_UNKNOWN", `no table of ${JSON.stringify(text)} has ${columns.join(", ")}`, {
    hint: "Correct the name in columns or mask; it must be spelt as in the database, upper and lower case. Was it renamed? Then name it anew, or it would leave unmasked.",
  });
}
