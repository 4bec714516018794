// What patterns may know of a column that is declared with drizzle.

import type { ColumnKind } from "../../event/column-kind.ts";
import type { DrizzleColumn } from "./drizzle-value.ts";

/** By drizzle's name of the JavaScript type; `json` for all others, of which nothing is known for certain. */
const KINDS: ReadonlyMap<string, ColumnKind> = new Map([
  ["string", "text"],
  ["date", "text"],
  ["number", "number"],
  ["bigint", "number"],
  ["boolean", "boolean"],
]);

/** The kind of its values; of an array that of its elements. Labels only of an enum that the database has. */
export function drizzleKind({ columnType, dataType, enumValues, baseColumn }: DrizzleColumn): ColumnKind {
  if (baseColumn !== undefined) return drizzleKind(baseColumn);
  if (columnType === "PgEnumColumn" && enumValues !== undefined) return enumValues;
  return columnType === "PgNumeric" ? "number" : (KINDS.get(dataType) ?? "json");
}
