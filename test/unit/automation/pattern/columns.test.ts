// What a pattern makes of the columns' types: numbers that are texts, and what can never match.

import { describe, expect, test } from "vitest";
import { compilePattern } from "../../../../src/automation/pattern/compile-pattern.ts";
import type { Columns } from "../../../../src/event/column-kind.ts";

const columns: Columns = {
  id: "number",
  total: "number",
  note: "text",
  ok: "boolean",
  status: ["new", "paid"],
  doc: "json",
  period: { lower: "number", upper: "number", bounds: "text" },
  "a.b": "number",
};
const match = (after: object, row: object): boolean => compilePattern({ after }, { columns })({ after: row });

describe("in a numeric column", () => {
  test.each<readonly [object, string | number, boolean]>([
    [{ numeric: [">", 0] }, "0.00", false],
    [{ numeric: [">", 0] }, "0.01", true],
    [{ numeric: [">", 0] }, "-0.01", false],
    [{ numeric: [">", 9] }, "10", true],
    [{ numeric: ["=", 0.1] }, "0.1000", true],
    [{ numeric: ["<", 0.1] }, "0.09999999999999999999999999", true],
    [{ numeric: ["=", 0.1] }, "0.1000000000000000000000001", false],
    [{ numeric: [">", "9007199254740992"] }, "9007199254740993", true],
    [{ numeric: [">=", "9007199254740992", "<", "9007199254740993"] }, "9007199254740993", false],
    [{ numeric: [">", 0] }, "99999999999999999999999999999999999999.5", true],
    [{ numeric: ["<", 1e-6] }, "1E-7", true],
    [{ numeric: [">", 5] }, 6, true],
    [{ numeric: ["<", "0.1000000000000000000001"] }, 0.1, true],
    [{ numeric: [">", 0] }, "NaN", false],
    [{ numeric: ["<", 0] }, "-Infinity", false],
    [{ numeric: [">", 0] }, "", false],
    [{ numeric: [">", 0] }, "0x10", false],
  ])("%j on %j is %j", (condition, total, answer) => {
    expect(match({ total: [condition] }, { total })).toBe(answer);
  });

  test("a value equals a number however either is written", () => {
    expect(match({ total: [1.5] }, { total: "1.50" })).toBe(true);
    expect(match({ total: [-1.5] }, { total: "1.50" })).toBe(false);
    expect(match({ total: ["1.5"] }, { total: "1.50" })).toBe(true);
    expect(match({ id: ["9007199254740993"] }, { id: "9007199254740993" })).toBe(true);
    expect(match({ id: ["9007199254740993"] }, { id: "9007199254740992" })).toBe(false);
    expect(match({ total: ["NaN"] }, { total: "NaN" })).toBe(true);
    expect(match({ total: [{ "anything-but": 1.5 }] }, { total: "1.50" })).toBe(false);
    expect(match({ total: [{ "anything-but": ["1.5"] }] }, { total: "1.51" })).toBe(true);
  });

  test("of an array each element is a number, and of an object each member is what it is said to be", () => {
    expect(match({ total: [{ numeric: [">", 2] }] }, { total: ["1.0", ["3.0"]] })).toBe(true);
    expect(match({ period: { upper: [{ numeric: ["<", 10] }] } }, { period: { lower: "1", upper: "9.5" } })).toBe(true);
  });

  test("named with dots, it is found by its whole name", () => {
    expect(match({ "a.b": [{ numeric: [">", 2] }] }, { "a.b": "3" })).toBe(true);
    const nested = { p: "text", "p.q": { r: "number" } } as const;
    expect(
      compilePattern({ after: { "p.q": { r: [1] } } }, { columns: nested })({ after: { "p.q": { r: "1.0" } } }),
    ).toBe(true);
  });
});

test("by the column's type, never by the value: the same text in another column is a text", () => {
  expect(match({ note: ["1.5"] }, { note: "1.50" })).toBe(false);
  expect(match({ doc: { n: [{ numeric: [">", 0] }] } }, { doc: { n: "1" } })).toBe(false);
  expect(match({ doc: { n: [{ numeric: [">", 0] }] } }, { doc: { n: 1 } })).toBe(true);
  expect(compilePattern({ after: { total: [{ numeric: [">", 0] }] } })({ after: { total: "1" } })).toBe(false);
});

test("rows are the key, before, after, movedTo and movedFrom, and nothing else is", () => {
  const over = (pattern: object, event: object): boolean => compilePattern(pattern, { columns })(event);

  for (const part of ["key", "before", "after", "movedTo", "movedFrom"]) {
    expect(over({ [part]: { id: [{ numeric: [">", 1] }] } }, { [part]: { id: "2" } })).toBe(true);
  }
  expect(
    over({ update: { updatedFields: { id: [{ numeric: [">", 1] }] } } }, { update: { updatedFields: { id: "2" } } }),
  ).toBe(false);
});

test.each<readonly [string, object, string, RegExp]>([
  ["an unknown column", { after: { totl: [1] } }, 'after.totl: there is no column "totl"', /did you mean "total"\?/],
  ["an unknown field", { aftr: { total: [1] } }, 'aftr: no such event has a field "aftr"', /did you mean "after"\?/],
  ["a field of the wrong case", { After: { total: [1] } }, 'After: no such event has a field "After"', /"after"/],
  ["no label of the enum", { after: { status: ["payed"] } }, 'after.status[0]: "payed" is no label', /new, paid/],
  ["a number for an enum", { after: { status: [3] } }, "after.status[0]: 3 is no label", /new, paid/],
  [
    "a text for a boolean",
    { after: { ok: ["true"] } },
    'after.ok[0]: it can never match: "true" is none of its values',
    /correct it/,
  ],
  [
    "a number for a text",
    { after: { note: ["x", 3] } },
    "after.note[1]: it can never match: 3 is none of its values",
    /correct it/,
  ],
  [
    "a text for a number",
    { after: { total: ["paid"] } },
    'after.total[0]: it can never match: "paid" is none',
    /correct it/,
  ],
  [
    "numeric on a text",
    { after: { note: [{ numeric: [">", 1] }] } },
    "numeric is for numbers, and this is a text column",
    /correct it/,
  ],
  [
    "prefix on a number",
    { after: { total: [{ prefix: "1" }] } },
    "prefix is for texts, and this is a number column",
    /correct it/,
  ],
  ["fields of a text", { after: { note: { x: [1] } } }, 'after.note.x: the column "note" has no fields', /say what/],
  [
    "an unknown member",
    { after: { period: { uper: [1] } } },
    'after.period.uper: there is no column "uper"',
    /"upper"/,
  ],
  ["a value for an object", { after: { period: [5] } }, "after.period[0]: it can never match", /correct it/],
  [
    "an empty range of decimals",
    { after: { total: [{ numeric: [">", "9007199254740993", "<", "9007199254740993.0"] }] } },
    "the range is empty",
    /numeric/,
  ],
  [
    "one of them in a branch",
    { $or: [{ op: ["created"] }, { after: { totl: [1] } }] },
    '$or[1].after.totl: there is no column "totl"',
    /total/,
  ],
])("where columns are known, a pattern with %s is refused", (_what, pattern, message, hint) => {
  expect(() => compilePattern(pattern, { columns })).toThrow(
    expect.objectContaining({
      code: "PATTERN_INVALID",
      message: expect.stringContaining(message),
      hint: expect.stringMatching(hint),
    }),
  );
});

test("null, absence and what a value must not be are possible in every column", () => {
  for (const name of ["id", "note", "ok", "status", "period"]) {
    for (const item of [null, { exists: false }, { exists: true }, { "anything-but": "new" }]) {
      expect(() => compilePattern({ after: { [name]: [item] } }, { columns })).not.toThrow();
    }
  }
});

test("an open row may have other columns, and those that are known are held to their types", () => {
  const open = (after: object) => compilePattern({ after }, { columns, open: true });

  expect(open({ other: { x: [1] } })({ after: { other: { x: 1 } } })).toBe(true);
  expect(() => open({ ok: [1] })).toThrow(/can never match/);
});
