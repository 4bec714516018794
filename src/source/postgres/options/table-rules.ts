// What holds for one table, put together from all items of `tables` that name it: where several do, all of them hold.

import type { KeyObject } from "node:crypto";
import { ConfigError } from "../../../errors.ts";
import type { ValueFormat } from "../values/compile.ts";
import { type ColumnMask, columnMask, type Mask, maskKey } from "./mask.ts";
import type { TableItem, TableOptions } from "./table-options.ts";
import { includesTable } from "./table-pattern.ts";

/** What becomes of a column: undefined where it is delivered as it is. */
export type ColumnRule = ColumnMask | "left out" | undefined;

export interface TableRules {
  column(name: string): ColumnRule;
  /** Undefined where a column is written as its type is. */
  format(name: string): ValueFormat | undefined;
  /** Whether some column is hidden: the raw bytes of such a table's rows must not be kept. */
  readonly hides: boolean;
  /** Whether values that the log leaves out are asked of the database. */
  readonly reselects: boolean;
  /** SQL conditions, all of which a row must meet. */
  readonly where: readonly string[];
  /** Whether the rows that the table has are copied once. */
  readonly copied: boolean;
}

export const NO_RULES: TableRules = {
  column: () => undefined,
  format: () => undefined,
  hides: false,
  reselects: false,
  where: [],
  copied: false,
};
const COPIED: TableRules = { ...NO_RULES, copied: true };

/** The rules of a table; undefined for one that is not read. */
export type RulesOf = (schema: string, table: string) => TableRules | undefined;

/**
 * @param secret the key of masks by hash; undefined only where there is none
 * @param backfill of tables of which no item says it
 */
export function tableRules(
  items: readonly TableItem[],
  secret: string | undefined,
  backfill: "initial" | "none" = "none",
): RulesOf {
  const usual = backfill === "initial" ? COPIED : NO_RULES;
  const key = secret === undefined ? undefined : maskKey(secret);
  return (schema, table) => {
    if (!includesTable(items, schema, table)) return undefined;
    const options = items.flatMap((item) => (item.options && item.matches(schema, table) ? [item.options] : []));
    if (options.length === 0) return usual;
    // The first item that says it decides.
    const said = options.find((option) => option.backfill !== undefined)?.backfill ?? backfill;
    const rules = { ...rulesOf(options, key), copied: said === "initial" };
    // The rows of an outbox are inserted, and come whole.
    const outbox = items.some((item) => item.outbox === true && item.matches(schema, table));
    return outbox ? { ...rules, reselects: false } : rules;
  };
}

function rulesOf(options: readonly TableOptions[], key: KeyObject | undefined): Omit<TableRules, "copied"> {
  const masks = new Map<string, ColumnMask>();
  const formats = new Map(options.toReversed().flatMap((option) => Object.entries(option.values)));
  // The first item that masks a column decides how.
  for (const [name, mask] of options.toReversed().flatMap((option) => Object.entries(option.mask))) {
    masks.set(name, columnMask(mask, key));
  }
  return {
    column: (name) => (options.every((option) => delivers(option, name)) ? masks.get(name) : "left out"),
    format: (name) => formats.get(name),
    hides: masks.size > 0 || options.some(({ columns }) => columns !== undefined),
    reselects: options.some(({ toast }) => toast === "reselect"),
    where: options.flatMap(({ where }) => where ?? []),
  };
}

function delivers({ columns }: TableOptions, name: string): boolean {
  if (columns === undefined) return true;
  return "exclude" in columns ? !columns.exclude.includes(name) : columns.includes(name);
}

/**
 * A key tells rows apart, so it must leave whole or hashed.
 * @throws ConfigError TABLE_KEY_HIDDEN
 */
export function checkKey(schema: string, table: string, key: readonly string[], rules: TableRules): void {
  const hidden = key.filter((name) => {
    const rule = rules.column(name);
    return rule === "left out" || rule?.distinct === false;
  });
  if (hidden.length === 0) return;
  throw new ConfigError(
    "TABLE_KEY_HIDDEN",
    `${schema}.${table} cannot hide ${hidden.join(", ")}: it is part of the key`,
    {
      hint: 'Take the column out of columns.exclude or add it to columns, or mask it by "hash", which keeps keys apart.',
    },
  );
}

/** Whether some mask needs the option `maskKey`. */
export function needsMaskKey(items: readonly TableItem[]): boolean {
  return items.some(({ options }) => Object.values(options?.mask ?? {}).some((mask: Mask) => mask === "hash"));
}
