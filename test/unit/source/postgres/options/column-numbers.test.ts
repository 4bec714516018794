// The numbers of the log's columns, told from a catalog that may be of a later time.

import { expect, test } from "vitest";
import type { CatalogColumn } from "../../../../../src/source/postgres/client/catalog.ts";
import { columnNumbers } from "../../../../../src/source/postgres/options/column-numbers.ts";

const INT = 23;
const TEXT = 25;

const log = (...names: readonly string[]) => names.map((name) => ({ name, type: TEXT }));
const catalog = (
  columns: Readonly<Record<number, string>>,
  types: Readonly<Record<string, number>> = {},
): CatalogColumn[] =>
  Object.entries(columns).map(([attnum, name]) => ({
    attnum: Number(attnum),
    name,
    type: types[name] ?? TEXT,
    typmod: -1,
    sqlType: "text",
    notNull: false,
    hasDefault: false,
    generated: undefined,
    identity: undefined,
  }));

test.each<[string, string[], Record<number, string>, (number | null)[]]>([
  ["are those of their names", ["id", "a", "b"], { 1: "id", 3: "a", 4: "b" }, [1, 3, 4]],
  [
    "of a column renamed since are told by its neighbours",
    ["id", "a", "b"],
    { 1: "id", 2: "title", 3: "b" },
    [1, 2, 3],
  ],
  ["of a column dropped since are told by its neighbours", ["id", "a", "b"], { 1: "id", 3: "b" }, [1, 2, 3]],
  ["of a last column renamed since are told by the end", ["id", "a"], { 1: "id", 2: "title" }, [1, 2]],
  ["of a column dropped and made again are the old ones", ["id", "a", "b"], { 1: "id", 3: "b", 4: "a" }, [1, 2, 3]],
  ["are unknown when more than one is possible", ["id", "a"], { 1: "id", 3: "z" }, [1, null]],
  ["of several columns renamed since are told in order", ["a", "b", "c"], { 1: "x", 2: "y", 3: "c" }, [1, 2, 3]],
  ["are unknown of a table that is gone", ["id", "a"], {}, [null, null]],
])("numbers %s", (_, names, columns, numbers) => {
  expect(columnNumbers(log(...names), catalog(columns))).toEqual(numbers);
});

test("a column retyped since keeps its number", () => {
  const columns = catalog({ 1: "id", 2: "a", 3: "b" }, { a: INT });
  expect(columnNumbers(log("id", "a", "b"), columns)).toEqual([1, 2, 3]);
});
