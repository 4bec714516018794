// Patterns that are refused: by their place, with a way out, and before they cost anything.

import { expect, test } from "vitest";
import { compilePattern } from "../../../../src/automation/pattern/compile-pattern.ts";

const deep = (levels: number): unknown => (levels === 0 ? ["x"] : { a: deep(levels - 1) });
const holdsItself: Record<string, unknown> = {};
holdsItself.a = holdsItself;

test.each<readonly [string, unknown, string, RegExp]>([
  ["no pattern", undefined, "the pattern: expected an object", /write it like an event/],
  ["a list", ["x"], "the pattern: expected an object", /write it like an event/],
  ["a bare value", { a: { b: "x" } }, "a.b: expected a list of what it may be", /write \["x"\]/],
  ["nothing in it", { a: { b: {} } }, "a.b: is empty", /at least one/],
  ["a list in a list", { a: [["x"]] }, "a[0]: a list holds values and operators only", /write/],
  ["an empty list", { a: [] }, "a: an empty list matches nothing", /leave it out/],
  [
    "two operators in one",
    { a: [1, { prefix: "x", suffix: "y" }] },
    "a[1]: expected one operator an object",
    /several items/,
  ],
  [
    "an unknown operator",
    { a: [{ constructor: 1 }] },
    'a[0]: there is no operator "constructor"',
    /the operators are exactly/,
  ],
  ["an empty range", { a: [{ numeric: [">", 5, "<=", 5] }] }, "a[0]: the range is empty", /numeric/],
  [
    "a range from above",
    { a: [{ numeric: ["<", 5, ">", 1] }] },
    "a[0]: of two comparisons the first is > or >=",
    /numeric/,
  ],
  ["a comparison of a text", { a: [{ numeric: [">", "5"] }] }, "a[0]: a comparison takes a number", /numeric/],
  ["NaN", { a: [Number.NaN] }, "a[0]: NaN equals nothing", /leave it out/],
  ["a hole in a list", { a: new Array(1) }, "a[0]: a list holds values", /write/],
  ["two stars", { a: [{ wildcard: "a**b" }] }, "a[0]: two stars side by side", /write one/],
  ["a stray escape", { a: [{ wildcard: "a\\b" }] }, "a[0]: a backslash escapes only", /backslash/],
  ["a whole address as a block", { a: [{ cidr: "10.0.0.1/32" }] }, 'a[0]: "10.0.0.1/32" is no block', /plain text/],
  ["every prefix", { a: [{ "anything-but": { prefix: "" } }] }, 'a[0]: every text has the prefix ""', /leave it out/],
  [
    "an empty exclusion",
    { a: [{ "anything-but": { prefix: [] } }] },
    "a[0]: an empty list excludes nothing",
    /name what/,
  ],
  [
    "mixed exclusions",
    { a: [{ "anything-but": ["x", 1] }] },
    "a[0]: anything-but takes texts or numbers",
    /anything-but/,
  ],
  ["one alternative", { $or: [{ a: [1] }] }, "$or: expected a list of two patterns or more", /\$or/],
  ["a wrong branch", { $or: [{ a: [1] }, { b: { c: [] } }] }, "$or[1].b.c: an empty list", /leave it out/],
  [
    "an operator as a field",
    { a: { $or: [{ b: [1] }, { prefix: ["x"] }] } },
    "a.$or[1].prefix: an operator stands where",
    /write/,
  ],
  ["more than 64 levels", deep(64), `${"a.".repeat(63)}a: deeper than 64 levels`, /two automations/],
  ["itself in it", holdsItself, `${"a.".repeat(63)}a: deeper than 64 levels`, /two automations/],
  ["a name of many parts", { ["a.".repeat(64)]: [1] }, "the pattern: a name has more than 64 parts", /two automations/],
  [
    "too many values",
    { a: Array.from({ length: 5000 }, (_, nth) => nth) },
    "the pattern: more than 4096 names",
    /two automations/,
  ],
  ["too much text", { a: ["x".repeat(70_000)] }, "the pattern: more than 65536 characters", /two automations/],
])("a pattern with %s is refused by its place, and with a way out", (_what, pattern, message, hint) => {
  expect(() => compilePattern(pattern)).toThrow(
    expect.objectContaining({
      name: "ConfigError",
      code: "PATTERN_INVALID",
      message: expect.stringContaining(message),
      hint: expect.stringMatching(hint),
    }),
  );
});

test("alternatives that multiply are refused before they are made", () => {
  const or = (name: string): unknown => ({ $or: Array.from({ length: 60 }, (_, at) => ({ [`${name}${at}`]: [1] })) });
  const pattern = Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [name, or(name)]));

  expect(() => compilePattern(pattern)).toThrow(/makes more than 1000 alternatives/);
});
