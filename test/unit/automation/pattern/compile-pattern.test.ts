// Event patterns: every answer of EventBridge's own matcher, and what its answers do not cover.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compilePattern } from "../../../../src/automation/pattern/compile-pattern.ts";
import { ConfigError } from "../../../../src/errors.ts";

interface Golden {
  readonly g: string;
  readonly pattern: unknown;
  readonly event?: unknown;
  readonly matches?: boolean;
  readonly error?: true;
  /** Its numbers cannot be carried by `JSON.parse`. */
  readonly raw?: true;
}

/** Answers of event-ruler 2.1.0. */
const golden = readFileSync(new URL("../../../golden/patterns.jsonl", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .slice(1)
  .map((line) => JSON.parse(line) as Golden)
  .filter(({ raw }) => !raw);

const matches = (pattern: unknown, event: unknown): boolean => compilePattern(pattern)(event);

function refusal(pattern: unknown): unknown {
  try {
    compilePattern(pattern);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("a pattern", () => {
  test("agrees with EventBridge's matcher on every pair", () => {
    const pairs = golden.filter(({ error }) => !error);
    const wrong = pairs.filter((line) => matches(line.pattern, line.event) !== line.matches);

    expect(pairs).toHaveLength(2480);
    expect(wrong).toEqual([]);
  });

  test("that EventBridge refuses is refused, with a code", () => {
    const refused = golden.filter(({ error }) => error);
    const accepted = refused.filter(({ pattern }) => !(refusal(pattern) instanceof ConfigError));

    expect(refused).toHaveLength(146);
    expect(accepted).toEqual([]);
  });

  test.each([
    [{ after: { status: "paid" } }, "after.status: expected a list of what it may be", /^write \["paid"\]$/],
    [
      { after: { total: [{ numeric: ["gt", 1] }] } },
      'after.total[0]: there is no comparison "gt"',
      /numeric: \[">", 0\]/,
    ],
    [{ a: [{ startsWith: "x" }] }, 'a[0]: there is no operator "startsWith"', /prefix, suffix/],
    [{}, "the pattern: is empty", /at least one field/],
  ])("%j is refused by its place and with a way out", (pattern, message, hint) => {
    expect(refusal(pattern)).toMatchObject({ code: "PATTERN_INVALID", message, hint: expect.stringMatching(hint) });
  });

  test.each([
    // Where the original's answers are its own defects.
    [{ a: [{ cidr: "0.0.0.0/0" }] }, { a: "2001:db8::1" }, false],
    [{ a: [{ cidr: "10.0.0.0/8" }] }, { a: "0a01:203::" }, false],
    [{ a: [{ wildcard: "*z" }, { "equals-ignore-case": "ab" }] }, { a: "qab" }, false],
    [{ a: [{ prefix: 'abc"' }] }, { a: "abc" }, false],
    [{ a: [{ "equals-ignore-case": "😀" }] }, { a: "😀" }, true],
    [{ a: [{ "equals-ignore-case": "😀" }] }, { a: "??" }, false],
    [{ a: { "": [1] } }, { a: { "": 1 } }, true],
  ])("%j on %j does the sensible thing", (pattern, event, expected) => {
    expect(matches(pattern, event)).toBe(expected);
  });

  test("does not match what is no object", () => {
    for (const event of [null, undefined, 1, "a", [], [{ a: 1 }]]) {
      expect(matches({ a: [1] }, event)).toBe(false);
    }
  });

  test("with many alternatives that multiply is refused", () => {
    const or = (name: string): unknown => ({ $or: Array.from({ length: 11 }, (_, at) => ({ [`${name}${at}`]: [1] })) });

    expect(refusal({ a: or("x"), b: or("x") })).toBeUndefined();
    expect(refusal({ a: or("x"), b: or("x"), c: or("x") })).toMatchObject({ code: "PATTERN_INVALID" });
  });
});
