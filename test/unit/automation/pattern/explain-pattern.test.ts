// Which clause of a pattern an event fails, and by what.

import { expect, test } from "vitest";
import { explainPattern } from "../../../../src/automation/pattern/explain-pattern.ts";

const outcomes = (pattern: unknown, event: unknown) =>
  explainPattern(pattern, event).clauses.map(({ place, outcome }) => `${place} ${outcome}`);

test("each clause is told with what it asks for and what was found", () => {
  const pattern = { op: ["updated"], after: { total: [{ numeric: [">", 0] }], note: [{ prefix: "x" }] } };

  expect(explainPattern(pattern, { op: "updated", after: { total: 0 } })).toEqual({
    matches: false,
    alternatives: 1,
    clauses: [
      { place: "after.note", path: "after.note", expected: [{ prefix: "x" }], found: [], outcome: "missing" },
      { place: "after.total", path: "after.total", expected: [{ numeric: [">", 0] }], found: [0], outcome: "differs" },
      { place: "op", path: "op", expected: ["updated"], found: ["updated"], outcome: "matches" },
    ],
  });
  expect(outcomes(pattern, { op: "updated", after: { total: 1, note: "x" } })).toEqual([
    "after.note matches",
    "after.total matches",
    "op matches",
  ]);
});

test("a value in another element of an array is told from one that is nowhere", () => {
  const pattern = { r: { a: [1], b: [2], c: [3] } };

  expect(outcomes(pattern, { r: [{ a: 1, c: 3 }, { b: 2 }] })).toEqual(["r.a matches", "r.b elsewhere", "r.c matches"]);
  expect(outcomes(pattern, { r: [{ a: 1, b: 2 }] })).toEqual(["r.a matches", "r.b matches", "r.c missing"]);
});

test("of alternatives the one is told that comes nearest, by its branch", () => {
  const pattern = {
    $or: [
      { a: [1], b: [1], c: [1] },
      { a: [1], d: [1] },
    ],
  };

  expect(outcomes(pattern, { a: 1 })).toEqual(["$or[1].a matches", "$or[1].d missing"]);
  expect(explainPattern(pattern, { a: 1, b: 1, c: 1 })).toMatchObject({ matches: true, alternatives: 2 });
  expect(outcomes(pattern, { a: 1, b: 1, c: 1 })).toEqual(["$or[0].a matches", "$or[0].b matches", "$or[0].c matches"]);
});

test("what must be absent and is there differs, and long arrays are cut", () => {
  expect(outcomes({ a: [{ exists: false }] }, { a: 1 })).toEqual(["a differs"]);
  const { clauses } = explainPattern({ a: ["x"] }, { a: Array.from({ length: 1000 }, (_, nth) => nth) });
  expect(clauses[0]?.found).toHaveLength(10);
});

test("what is no event has none of it", () => {
  expect(explainPattern({ a: [1] }, null)).toMatchObject({ matches: false, clauses: [{ outcome: "missing" }] });
});

test("columns are known to it as to the match", () => {
  const columns = { total: "number" } as const;

  expect(explainPattern({ after: { total: [1] } }, { after: { total: "1.0" } }, { columns }).matches).toBe(true);
  expect(() => explainPattern({ after: { totl: [1] } }, {}, { columns })).toThrow(/no column/);
});
