// Whether the options of `tables` fit the tables: a misspelt column would leave unmasked, a hidden key would mix rows up.

import { ConfigError } from "../../../errors.ts";
import { type CatalogTable, primaryKeyOf } from "../facts/catalog-tables.ts";
import type { TableFacts, TableSelection } from "../facts/tables.ts";
import { RuleBook } from "../options/rule-book.ts";
import type { TableItem } from "../options/table-options.ts";
import { checkKey } from "../options/table-rules.ts";

interface TableName {
  readonly schema: string;
  readonly name: string;
}

export interface TableColumns extends TableName {
  readonly oid: string;
  readonly columns: readonly { readonly name: string; readonly attnum: number }[];
  /** As events have it: under full identity the primary key. */
  readonly key: readonly string[];
}

/**
 * The tables of which some item names columns.
 * @param also others, by their oid
 */
export function ruledTables(
  items: readonly TableItem[],
  tables: readonly CatalogTable[],
  also: ReadonlySet<number> = new Set(),
): readonly TableColumns[] {
  const named = items.filter(namesColumns);
  return tables
    .filter(({ oid, schema, name }) => also.has(Number(oid)) || named.some((item) => item.matches(schema, name)))
    .map((table) => ({
      ...{ oid: table.oid, schema: table.schema, name: table.name },
      key: table.replident === "i" ? table.index : primaryKeyOf(table),
      columns: table.columns.map((name, at) => ({ name, attnum: table.numbers[at] as number })),
    }));
}

/**
 * @returns the rules, with what is hidden known by its number: what is renamed from now on stays so
 * @throws ConfigError TABLE_OPTIONS_IGNORED, TABLE_EXCLUSION_IGNORED, TABLE_COLUMN_UNKNOWN, TABLE_KEY_HIDDEN
 */
export function checkRules({ tables: items, rulesOf }: TableSelection, tables: readonly TableFacts[]): RuleBook {
  checkExclusions(items, tables);
  for (const item of items.filter(({ options }) => options !== undefined)) {
    for (const { schema, name, partitions } of tables) {
      const ignored = item.matches(schema, name) ? [] : partitions.filter((one) => item.matches(one.schema, one.name));
      if (ignored[0] !== undefined) throw optionsIgnored(item, ignored[0], { schema, name });
    }
  }
  const described = ruledTables(
    items,
    tables.map(({ own }) => own),
  );
  for (const item of items.filter(namesColumns)) {
    const own = described.filter(({ schema, name }) => item.matches(schema, name));
    if (own.length === 0) continue; // of tables that are not there: told by itself
    const known = new Set(own.flatMap(({ columns }) => columns.map(({ name }) => name)));
    const unknown = (item.options?.named ?? []).filter((name) => !known.has(name));
    if (unknown.length > 0) throw columnUnknown(item, unknown);
  }
  const book = new RuleBook(rulesOf);
  for (const { oid, schema, name, key, columns } of described) {
    book.learn({ oid: Number(oid), namespace: schema, name }, columns);
    const rules = rulesOf(schema, name);
    if (rules !== undefined) checkKey(schema, name, key, rules);
  }
  return book;
}

/** A partition's rows come under the name of its root: an exclusion of the one would leave nothing out. */
function checkExclusions(items: readonly TableItem[], tables: readonly TableFacts[]): void {
  const exclusions = items.filter(({ excludes }) => excludes);
  for (const root of tables) {
    for (const partition of root.below) {
      const item = exclusions.find((one) => one.matches(partition.schema, partition.name));
      if (item !== undefined) throw exclusionIgnored(item, partition, root);
    }
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
  return options !== undefined && options.named.length > 0;
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
