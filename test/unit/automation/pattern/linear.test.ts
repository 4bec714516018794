// What a match costs: counted in steps, not in time. A step is a value, an element or a character that was looked at.

import { describe, expect, test } from "vitest";
import { compile, matches } from "../../../../src/automation/pattern/compile-pattern.ts";

/** Steps of one match, and its answer. */
function cost(pattern: unknown, event: unknown, shape = {}): { readonly steps: number; readonly matches: boolean } {
  const work = { steps: 0 };
  const answer = matches(compile(pattern, shape), event, work);
  return { steps: work.steps, matches: answer };
}

/** That ten times the event takes ten times the steps, and not a hundred times. */
function expectLinear(pattern: unknown, eventOf: (size: number) => unknown, answer: boolean, shape = {}): void {
  const [small, large] = [cost(pattern, eventOf(1_000), shape), cost(pattern, eventOf(10_000), shape)];
  expect({ small: small.matches, large: large.matches }).toEqual({ small: answer, large: answer });
  expect(large.steps / small.steps).toBeLessThan(10.5);
  expect(large.steps).toBeLessThan(10_000 * 40);
}

const letters = (size: number): string => "a".repeat(size);
const elements = (size: number, make: (nth: number) => unknown): unknown[] =>
  Array.from({ length: size }, (_, nth) => make(nth));

describe("a match takes steps in proportion to the event", () => {
  test("with ten stars over one letter repeated", () => {
    const pattern = { a: [{ wildcard: "*a*a*a*a*a*a*a*a*a*ab" }] };
    expectLinear(pattern, (size) => ({ a: letters(size) }), false);
    expectLinear(pattern, (size) => ({ a: `${letters(size)}b` }), true);
  });

  test("with a part between stars that the text begins again and again, whatever the part's length", () => {
    const pattern = (length: number): unknown => ({ a: [{ wildcard: `*${letters(length)}b*` }] });
    expectLinear(pattern(100), (size) => ({ a: letters(size) }), false);
    const [short, long] = [1, 1_000].map((length) => cost(pattern(length), { a: letters(100_000) }).steps);
    expect(long).toBeLessThanOrEqual((short as number) * 1.1);
  });

  test("with ten stars as what it must not be", () => {
    expectLinear(
      { a: [{ "anything-but": { wildcard: "*a*a*a*a*a*a*a*a*a*ab" } }] },
      (size) => ({ a: letters(size) }),
      true,
    );
  });

  test("with fields that must come from one element of a long array", () => {
    const pattern = { r: { a: [1], b: [1], c: [1], d: [2] } };
    expectLinear(pattern, (size) => ({ r: elements(size, () => ({ a: 1, b: 1, c: 1, d: 1 })) }), false);
    expectLinear(
      pattern,
      (size) => ({ r: elements(size, (nth) => ({ a: 1, b: 1, c: 1, d: nth === size - 1 ? 2 : 1 })) }),
      true,
    );
    expectLinear(
      { r: { a: [1], b: [{ exists: false }], c: [1], d: [2] } },
      (size) => ({ r: elements(size, () => ({ a: 1, c: 1, d: 1 })) }),
      false,
    );
  });

  test("with arrays in the elements of arrays", () => {
    const pattern = { r: { a: [1], s: { b: [1], c: [2] }, t: { b: [1], c: [1] } } };
    const element = () => ({ a: 1, s: elements(3, () => ({ b: 1, c: 1 })), t: elements(3, () => ({ b: 1, c: 1 })) });
    expectLinear(pattern, (size) => ({ r: elements(size / 10, element) }), false);
  });

  test("with many long arrays side by side", () => {
    const names = elements(10, (nth) => `list${nth}`) as string[];
    const pattern = Object.fromEntries(names.map((name) => [name, { x: [1], y: [2] }]));
    const eventOf = (size: number) =>
      Object.fromEntries(
        names.map((name) => [name, elements(size / 10, (nth) => ({ x: 1, y: nth % 10 === 0 ? 2 : 1 }))]),
      );
    expectLinear(pattern, eventOf, true);
  });

  test("with an array of a hundred thousand values and a list of a thousand", () => {
    const list = elements(1_000, (nth) => `x${nth}`);
    expectLinear({ a: list }, (size) => ({ a: elements(size, (nth) => `y${nth}`) }), false);
  });

  test("with a number of many digits in a numeric column", () => {
    const shape = { row: { columns: { n: "number" } } };
    expectLinear(
      { after: { n: [{ numeric: [">", 1] }] } },
      (size) => ({ after: { n: `1${letters(size).replaceAll("a", "0")}` } }),
      true,
      shape,
    );
  });

  test("and leaves aside what no clause asks for", () => {
    const rest = Object.fromEntries(elements(10_000, (nth) => [`x${nth}`, { y: [nth] }]) as [string, unknown][]);
    expect(cost({ a: { b: [1] } }, { ...rest, a: { ...rest, b: 1 } })).toEqual({
      steps: expect.any(Number),
      matches: true,
    });
    expect(cost({ a: { b: [1] } }, { ...rest, a: { ...rest, b: 1 } }).steps).toBeLessThan(20);
  });
});

describe("an event that spells one path in several ways", () => {
  const spelled = (size: number) => {
    const list = elements(size, () => ({ x: 1, y: 1, z: 1 }));
    return { "a.b.c.d": list, a: { "b.c.d": list, b: { "c.d": list, c: { d: list } } }, "a.b": { "c.d": list } };
  };

  test("is matched while its arrays can be tried", () => {
    expect(cost({ a: { b: { c: { d: { x: [1], y: [1], z: [1] } } } } }, spelled(3)).matches).toBe(true);
  });

  test("is refused by name, and not tried for ever, where they combine in too many ways", () => {
    const names = elements(8, (nth) => `f${nth}`) as string[];
    const pattern = compile(
      { a: { b: { c: { d: { x: [1], y: [1], z: [1], ...Object.fromEntries(names.map((name) => [name, [1]])) } } } } },
      {},
    );
    const work = { steps: 0 };

    expect(() => matches({ ...pattern }, withFields(spelled(300), names), work)).toThrow(
      expect.objectContaining({ name: "PoisonError", code: "PATTERN_AMBIGUOUS" }),
    );
    expect(work.steps).toBeLessThan(1_000_000);
  });

  function withFields(event: unknown, names: readonly string[]): unknown {
    const members = Object.fromEntries(names.map((name) => [name, 1]));
    return JSON.parse(JSON.stringify(event), (key, value) =>
      Array.isArray(value) && key !== "" ? value.map((one) => ({ ...one, ...members })) : value,
    );
  }
});

describe("an event of any depth", () => {
  test("is walked without recursion", () => {
    let deep: unknown = "x";
    for (let level = 0; level < 100_000; level++) deep = [deep];

    expect(cost({ a: ["x"] }, { a: deep })).toEqual({ steps: expect.any(Number), matches: true });
    expect(cost({ a: ["x"] }, { a: deep }).steps).toBeLessThan(300_000);
  });
});
