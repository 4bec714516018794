import { expect, test } from "vitest";
import { Comparison } from "../../../src/demo/account.ts";

function compare(committed: string, ...stored: readonly string[]) {
  const comparison = new Comparison();
  comparison.committed([...committed]);
  for (const part of stored) comparison.stored([...part]);
  const { published, missing, duplicated, outOfOrder } = comparison;
  return { published, missing, duplicated, outOfOrder };
}

test("the same changes in the same order are exact", () => {
  expect(compare("abcd", "ab", "cd")).toEqual({ published: 4, missing: 0, duplicated: 0, outOfOrder: 0 });
});

test("a change that is not in the stream is missing", () => {
  expect(compare("abcd", "abd")).toEqual({ published: 3, missing: 1, duplicated: 0, outOfOrder: 0 });
});

test("a change that is in the stream twice, or was never committed, is a duplicate", () => {
  expect(compare("abc", "abbc")).toEqual({ published: 4, missing: 0, duplicated: 1, outOfOrder: 0 });
  expect(compare("abc", "abxc")).toEqual({ published: 4, missing: 0, duplicated: 1, outOfOrder: 0 });
});

test("a change behind a later one is out of order, also across two looks", () => {
  expect(compare("abcd", "acbd")).toEqual({ published: 4, missing: 0, duplicated: 0, outOfOrder: 1 });
  expect(compare("abcd", "abd", "c")).toEqual({ published: 4, missing: 0, duplicated: 0, outOfOrder: 1 });
});

test("where each row has an order of its own, changes of others may come between", () => {
  const comparison = new Comparison(([row = ""]) => row);
  comparison.committed(["a1", "b1", "a2", "b2"]);
  comparison.stored(["b1", "a1", "a2"]);
  expect(comparison.outOfOrder).toBe(0);
  comparison.committed(["a3", "a4"]);
  comparison.stored(["a4", "b2", "a3"]);
  expect(comparison).toMatchObject({ outOfOrder: 1, missing: 0, duplicated: 0 });
});
