// The rules of tables as the decoder needs them: a column that was renamed is told by its number, and stays hidden.

import type { CatalogColumn } from "./catalog.ts";
import type { ColumnRule, RulesOf, TableRules } from "./table-rules.ts";

type Numbered = Pick<CatalogColumn, "attnum" | "name">;

export class RuleBook {
  /** Undefined for a table that is not read. */
  readonly of: RulesOf;
  /** What is hidden, by the table's oid and the column's number. */
  readonly #hidden = new Map<number, Map<number, NonNullable<ColumnRule>>>();

  constructor(rulesOf: RulesOf) {
    this.of = rulesOf;
  }

  /** Remembers by number what is hidden by name. */
  learn(oid: number, rules: TableRules, columns: readonly Numbered[]): void {
    if (!rules.hides) return;
    const hidden = this.#hidden.get(oid) ?? new Map<number, NonNullable<ColumnRule>>();
    for (const { name, attnum } of columns) {
      const rule = rules.column(name);
      if (rule !== undefined) hidden.set(attnum, rule);
    }
    this.#hidden.set(oid, hidden);
  }

  /**
   * For a version of a table that the log describes.
   * @param columns as the log has them
   * @param catalog as it is now; the log may be older
   */
  for(
    oid: number,
    rules: TableRules,
    columns: readonly { readonly name: string }[],
    catalog: readonly Numbered[],
  ): TableRules {
    if (!rules.hides) return rules;
    this.learn(oid, rules, catalog);
    const hidden = this.#hidden.get(oid);
    const numbers = new Map(catalog.map(({ name, attnum }) => [name, attnum]));
    const present = new Set(columns.map(({ name }) => numbers.get(name)));
    // A name that the catalog has no more may be the former one of a hidden column that is not here by its present one.
    const doubtful = hidden !== undefined && [...hidden.keys()].some((attnum) => !present.has(attnum));
    return {
      ...rules,
      column: (name) => {
        const attnum = numbers.get(name);
        const byName = rules.column(name);
        if (byName !== undefined) return byName;
        if (attnum === undefined) return doubtful ? "left out" : undefined;
        return hidden?.get(attnum);
      },
    };
  }
}
