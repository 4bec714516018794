// The rules of tables as the decoder needs them: a table that was renamed, moved or attached to another is told by its number,
// a column by its own, and what was hidden stays hidden.

import type { CatalogColumn } from "../client/catalog.ts";
import { columnNumbers } from "./column-numbers.ts";
import { type ColumnRule, NO_RULES, type RulesOf, type TableRules } from "./table-rules.ts";

type Numbered = Pick<CatalogColumn, "attnum" | "name">;

interface Named {
  readonly oid: number;
  readonly namespace: string;
  readonly name: string;
}

/** What is known of one table, under whatever name it went. */
interface Hidden {
  /** By the name under which the table had them. */
  readonly rules: Map<string, TableRules>;
  /** By the column's number, with the name under which it was hidden. */
  readonly columns: Map<number, { readonly name: string; readonly rule: NonNullable<ColumnRule> }>;
}

/** Rules for the columns that the log has. */
export interface BoundRules extends TableRules {
  /** Columns that are hidden because they may be hidden ones under a former name: which of them is not known. */
  readonly doubtful: readonly string[];
}

export class RuleBook {
  /** Undefined for a table that is not read. */
  readonly of: RulesOf;
  readonly #hidden = new Map<number, Hidden>();

  constructor(rulesOf: RulesOf) {
    this.of = rulesOf;
  }

  /** Tables of which something is hidden, by their oid. */
  get hiding(): ReadonlySet<number> {
    return new Set(this.#hidden.keys());
  }

  /** Remembers by number what is hidden by name. */
  learn({ oid, namespace, name }: Named, columns: readonly Numbered[]): void {
    const rules = this.of(namespace, name);
    if (rules?.hides !== true) return;
    const hidden = this.#of(oid);
    hidden.rules.set(JSON.stringify([namespace, name]), rules);
    for (const column of columns) {
      const rule = rules.column(column.name);
      if (rule !== undefined) hidden.columns.set(column.attnum, { name: column.name, rule });
    }
  }

  /** A partition's rows may come under the name of its root: what it hides is hidden there. */
  learnPartition(root: number, partition: Named, columns: readonly Numbered[]): void {
    this.learn(partition, columns);
    const hidden = this.#hidden.get(partition.oid);
    if (hidden === undefined) return;
    for (const [name, rules] of hidden.rules) this.#of(root).rules.set(name, rules);
    for (const { name, attnum } of columns) {
      const rule = hidden.columns.get(attnum)?.rule;
      if (rule !== undefined) this.#of(root).rules.set(JSON.stringify([partition.oid, name]), hiding(name, rule));
    }
  }

  /** Columns that no rule of the table's present name hides, and that are hidden all the same. */
  unnamed({ oid, namespace, name }: Named, columns: readonly Numbered[]): readonly string[] {
    const own = this.of(namespace, name);
    const hidden = this.#hidden.get(oid);
    if (own === undefined || hidden === undefined) return [];
    const isHidden = ({ attnum, name: column }: Numbered): boolean =>
      hidden.columns.has(attnum) || former(hidden, column) !== undefined;
    return columns.filter((column) => own.column(column.name) === undefined && isHidden(column)).map((one) => one.name);
  }

  /** Grows when more is known to be hidden of a table. */
  revision(oid: number): number {
    const hidden = this.#hidden.get(oid);
    return hidden === undefined ? 0 : hidden.rules.size + hidden.columns.size;
  }

  /**
   * For a version of a table that the log describes; undefined for one that is not read.
   * @param catalog as it is now; the log may be older
   */
  for(
    relation: Named & { readonly columns: readonly { readonly name: string; readonly type: number }[] },
    catalog: readonly CatalogColumn[],
  ): BoundRules | undefined {
    const rules = this.of(relation.namespace, relation.name);
    if (rules === undefined) return undefined;
    const numbers = columnNumbers(relation.columns, catalog);
    this.learn(relation, catalog);
    // The catalog may have other names by now.
    this.learn(
      relation,
      relation.columns.flatMap(({ name }, index) => {
        const attnum = numbers[index] ?? null;
        return attnum === null ? [] : [{ name, attnum }];
      }),
    );
    const hidden = this.#hidden.get(relation.oid);
    if (hidden === undefined) return { ...rules, doubtful: [] };
    const byName = (name: string): ColumnRule => rules.column(name) ?? former(hidden, name);
    const shown = new Set(relation.columns.map(({ name }) => name).filter((name) => byName(name) !== undefined));
    // Hidden columns that the log must have under another name, if it has them.
    const open = [...hidden.columns].filter(([attnum, { name }]) => !numbers.includes(attnum) && !shown.has(name));
    const doubtful: string[] = [];
    const byNumber = new Map<string, ColumnRule>();
    for (const [index, { name }] of relation.columns.entries()) {
      if (byName(name) !== undefined) continue;
      const number = numbers[index] ?? null;
      const possible = open.filter(([attnum]) => number === null && isBetween(attnum, numbers, index));
      if (possible.length > 0) doubtful.push(name);
      byNumber.set(
        name,
        number === null ? oneRule(possible.map(([, { rule }]) => rule)) : hidden.columns.get(number)?.rule,
      );
    }
    return { ...rules, hides: true, column: (name) => byName(name) ?? byNumber.get(name), doubtful };
  }

  #of(oid: number): Hidden {
    const hidden = this.#hidden.get(oid) ?? { rules: new Map(), columns: new Map() };
    this.#hidden.set(oid, hidden);
    return hidden;
  }
}

/** What a former name of the table, or a partition, hides. */
function former({ rules }: Hidden, column: string): ColumnRule {
  for (const one of rules.values()) {
    const rule = one.column(column);
    if (rule !== undefined) return rule;
  }
  return undefined;
}

function hiding(column: string, rule: NonNullable<ColumnRule>): TableRules {
  return { ...NO_RULES, column: (name) => (name === column ? rule : undefined), hides: true };
}

/** Whether a column whose number is not known may have this one: the log has columns in the order of their numbers. */
function isBetween(attnum: number, numbers: readonly (number | null)[], index: number): boolean {
  const before = numbers.slice(0, index).findLast((number) => number !== null) ?? 0;
  const after = numbers.slice(index + 1).find((number) => number !== null) ?? Number.POSITIVE_INFINITY;
  return attnum > before && attnum < after;
}

/** What hides a column that may be any of several: a mask where it does for all of them, so that a key stays a key. */
function oneRule(rules: readonly NonNullable<ColumnRule>[]): ColumnRule {
  if (rules.length <= 1) return rules[0];
  return rules.every((rule) => rule !== "left out" && rule.distinct) ? rules[0] : "left out";
}
