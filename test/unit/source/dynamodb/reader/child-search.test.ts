// When the children of shards that have ended are looked for.

import { describe, expect, test } from "vitest";
import { ChildSearch } from "../../../../../src/source/dynamodb/reader/child-search.ts";

/** At which times it looks for the children of one shard, in ms from its end, when they are found at a time. */
function looksOf(foundAt: number, until = 1_000_000): readonly number[] {
  const search = new ChildSearch();
  search.add("a", false, 0);
  const looks: number[] = [];
  for (let at = search.dueAt; at !== undefined && at < until; at = search.dueAt) {
    const now = at;
    looks.push(now);
    search.looked(search.due(now), () => now >= foundAt, now);
  }
  return looks;
}

describe("the children of a shard", () => {
  test("are looked for at once, then less and less often, and left to the regular look in the end", () => {
    const looks = looksOf(Number.POSITIVE_INFINITY);
    expect(looks.slice(0, 7)).toEqual([0, 50, 150, 350, 750, 1_550, 2_550]);
    const rests = looks.map((at, nth) => at - (looks[nth - 1] ?? at));
    expect(Math.max(...rests)).toBe(2_000);
    expect(looks.length).toBeLessThan(60);
    expect(looks.at(-1)).toBeGreaterThan(60_000);
  });

  test("are looked for twice more once one is found: another one may be listed later", () => {
    expect(looksOf(100)).toEqual([0, 50, 150, 1_150, 6_150]);
  });
});

test("Shards that end at about the same time are looked for together", () => {
  const search = new ChildSearch();
  for (let nth = 0; nth < 200; nth++) search.add(`s${nth}`, false, nth / 10);
  expect(search.due(0)).toHaveLength(200);
  search.looked(search.due(0), () => false, 0);
  expect(search.dueAt).toBe(50);
  expect(search.due(50)).toHaveLength(200);
});
