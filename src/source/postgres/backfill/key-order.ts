// The order of a table's key, in SQL. Operators of a type that an extension brought (citext, ltree) are not found by their names, for
// no schema but pg_catalog is searched: `>` of a citext would be that of text, whose order is another one than the index has. Nor are
// those of an index that was made with other operators, or another collation, than its column has: what the column's hold for equal
// may be two rows of the index.

import { quoteIdentifier, quoteLiteral } from "../client/sql.ts";

/** Texts of a key's values, in the order of its index. */
export type KeyTexts = readonly string[];

/** In SQL, by the number that a btree has for it: less, at most, equal, at least, more; and what stands behind the column's name. */
export type Operators = Readonly<Record<Strategy | "collate", string>>;
type Strategy = "1" | "2" | "3" | "4" | "5";

/** Of a `CopiedTable`. */
interface Keyed {
  readonly key: readonly string[];
  readonly columns: readonly { readonly name: string; readonly sqlType: string }[];
  readonly operators: readonly Operators[] | null;
}

/** For ORDER BY. */
export function inOrder({ key, operators }: Keyed, isReversed = false): string {
  const names = key.map(quoteIdentifier);
  if (operators === null) return names.map((name) => (isReversed ? `${name} DESC` : name)).join(", ");
  const using = isReversed ? "5" : "1";
  return names.map((name, nth) => `${name}${operators[nth]?.collate} USING ${operators[nth]?.[using]}`).join(", ");
}

/** Whether a row is behind a key; none without one. */
export function behindOf(table: Keyed, bound: KeyTexts | undefined): readonly string[] {
  return compared(table, bound, { row: ">", first: "4", others: "5", last: "5" });
}

/** Whether a row is before a key, or has it; none without one. */
export function upToAndWith(table: Keyed, bound: KeyTexts | undefined): readonly string[] {
  return compared(table, bound, { row: "<=", first: "2", others: "1", last: "2" });
}

/** Whether a row has one of the keys. */
export function isOneOf(table: Keyed, keys: readonly KeyTexts[]): string {
  const { operators } = table;
  const listed = keys.map((one) => values(table, one));
  if (operators === null)
    return `(${table.key.map(quoteIdentifier).join(", ")}) IN (${listed.map((one) => `(${one.join(", ")})`).join(", ")})`;
  const each = listed.map((one) => one.map((_, nth) => term(table, one, nth, "3")).join(" AND "));
  return `(${each.length === 0 ? "false" : each.join(" OR ")})`;
}

/** One column after the other, where no comparison of rows can name the operator of each; the first one alone bounds the index. */
function compared(
  table: Keyed,
  bound: KeyTexts | undefined,
  by: {
    readonly row: string;
    readonly first: Strategy;
    readonly others: Strategy;
    readonly last: Strategy;
  },
): readonly string[] {
  if (bound === undefined) return [];
  const texts = values(table, bound);
  if (table.operators === null)
    return [`(${table.key.map(quoteIdentifier).join(", ")}) ${by.row} (${texts.join(", ")})`];
  const each = texts.map((_, nth) => {
    const equal = Array.from({ length: nth }, (_, before) => term(table, texts, before, "3"));
    return [...equal, term(table, texts, nth, nth === texts.length - 1 ? by.last : by.others)].join(" AND ");
  });
  return [`(${term(table, texts, 0, by.first)} AND (${each.join(" OR ")}))`];
}

function term({ key, operators }: Keyed, texts: readonly string[], nth: number, operator: Strategy): string {
  const by = operators?.[nth];
  return `${quoteIdentifier(key[nth] as string)}${by?.collate} ${by?.[operator]} ${texts[nth]}`;
}

function values({ columns, key }: Keyed, texts: KeyTexts): readonly string[] {
  return key.map((name, nth) => {
    const { sqlType } = columns.find((column) => column.name === name) as Keyed["columns"][number];
    return `${quoteLiteral(texts[nth] as string)}::${sqlType}`;
  });
}
