// Random patterns on random events: the compiled form answers as a reading does that tries every choice.

import fc from "fast-check";
import { expect, test } from "vitest";
import { compile, matches } from "../../src/automation/pattern/compile-pattern.ts";
import { explain } from "../../src/automation/pattern/explain-pattern.ts";
import { naiveMatch } from "../support/naive-pattern.ts";

const RUNS = 5_000;
const NAMES = ["a", "b", "c", "a.b", "a-b", "b.c", "", "__proto__", "constructor", "toString"];
const TEXTS = [
  "",
  "a",
  "A",
  "b",
  "ab",
  "aB",
  "aab",
  "bab",
  "a*b",
  "\\",
  "\u00df",
  "ss",
  "SS",
  "1",
  "1.0",
  "-0",
  "null",
];
const NUMBERS = [0, -0, 1, 1.5, -2, 3, 100, 1e21, 1e-7];

const text = fc.constantFrom(...TEXTS);
const number = fc.constantFrom(...NUMBERS);
const plain = fc.oneof(text, number, fc.boolean(), fc.constant(null));
const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom("a", "b", "c") }, fc.constantFrom(...NAMES));

/** An object with these members as its own, `__proto__` too, as `JSON.parse` makes it. */
const objectOf = (members: readonly (readonly [string, unknown])[]): object => {
  const made = {};
  for (const [member, value] of members) {
    Object.defineProperty(made, member, { value, enumerable: true, writable: true, configurable: true });
  }
  return made;
};
const members = (value: fc.Arbitrary<unknown>, minLength: number, maxLength: number): fc.Arbitrary<object> =>
  fc.array(fc.tuple(name, value), { minLength, maxLength }).map(objectOf);

const wildcard = fc
  .array(fc.constantFrom("*", "a", "b", "B", "\\*", "\\\\"), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.filter((part, at) => part !== "*" || parts[at - 1] !== "*").join(""));
const some = text.filter((one) => one !== "");
const operator = fc.oneof(
  fc.record({ exactly: text }),
  fc.record({ prefix: fc.oneof(text, fc.record({ "equals-ignore-case": text })) }),
  fc.record({ suffix: fc.oneof(text, fc.record({ "equals-ignore-case": text })) }),
  fc.record({ "equals-ignore-case": text }),
  fc.record({ wildcard }),
  fc.record({ exists: fc.boolean() }),
  fc.record({ exists: fc.constant(false) }),
  fc.tuple(fc.constantFrom("=", "<", "<=", ">", ">="), number).map((numeric) => ({ numeric })),
  fc
    .tuple(fc.constantFrom(">", ">="), fc.constantFrom(-2, 0, 1), fc.constantFrom("<", "<="), fc.constantFrom(1.5, 3))
    .map((numeric) => ({ numeric })),
  fc
    .oneof(
      text,
      number,
      fc.array(text, { minLength: 1, maxLength: 3 }),
      fc.array(number, { minLength: 1, maxLength: 3 }),
      fc.record({ prefix: fc.oneof(some, fc.array(some, { minLength: 1, maxLength: 2 })) }),
      fc.record({ suffix: some }),
      fc.record({ wildcard: fc.oneof(wildcard, fc.array(wildcard, { minLength: 1, maxLength: 2 })) }),
      fc.record({ "equals-ignore-case": text }),
    )
    .map((but) => ({ "anything-but": but })),
);
const clause = fc.array(fc.oneof({ weight: 3, arbitrary: plain }, operator), { minLength: 1, maxLength: 3 });

const { pattern } = fc.letrec<{ pattern: object; fields: object; field: unknown }>((tie) => ({
  field: fc.oneof({ depthSize: "small", withCrossShrink: true }, clause, tie("fields")),
  fields: members(tie("field"), 1, 4),
  pattern: fc.oneof(
    { weight: 4, arbitrary: tie("fields") },
    fc
      .tuple(tie("fields"), fc.array(tie("fields"), { minLength: 2, maxLength: 3 }), tie("fields"), fc.boolean())
      .map(([before, branches, after, inside]) =>
        inside ? { ...before, a: { $or: branches } } : { ...before, $or: branches, ...after },
      ),
  ),
}));
const { event } = fc.letrec<{ event: object; value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    plain,
    members(tie("value"), 0, 4),
    fc.array(tie("value"), { maxLength: 4 }),
  ),
  event: members(tie("value"), 1, 5),
}));

/** Runs a property and says which seed it ran with; how often each answer came. */
function check(arbitrary: fc.Arbitrary<readonly [object, object]>, numeric: readonly string[] = []) {
  const seed = Date.now() & 0x7fffffff;
  console.error(`seed ${seed}`);
  const row = { columns: { n: "number" as const, t: "text" as const, j: "json" as const } };
  const shape = numeric.length > 0 ? { row } : {};
  const answers = { true: 0, false: 0 };
  fc.assert(
    fc.property(arbitrary, ([one, of]) => {
      const compiled = compile(one, shape);
      const answer = naiveMatch(one, of, numeric);
      answers[`${answer}`]++;
      expect(matches(compiled, of)).toBe(answer);
      const { clauses, ...explained } = explain(compiled, of);
      expect(explained.matches).toBe(answer);
      if (answer) expect(clauses.every(({ outcome }) => outcome === "matches")).toBe(true);
      else expect(clauses.some(({ outcome }) => outcome !== "matches")).toBe(true);
    }),
    { seed, numRuns: RUNS },
  );
  return answers;
}

/** No name is an operator's, for below `$or` such a pattern is refused. */
test("a pattern on an event answers as if every choice of array elements were tried", () => {
  const answers = check(fc.tuple(pattern, event));

  expect(Math.min(answers.true, answers.false)).toBeGreaterThan(RUNS / 50);
});

test("also where many elements of arrays could go together", () => {
  const leaf = fc.constantFrom(1, 1, 2, 3);
  const one = fc.oneof(
    fc.constantFrom<unknown[][]>(
      [1],
      [2],
      [{ exists: false }],
      [{ exists: false }, 2],
      [1, 2],
      [{ "anything-but": 1 }],
    ),
  );
  const fields = (value: fc.Arbitrary<unknown>) =>
    fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), value), { minLength: 1, maxLength: 4 }).map(objectOf);
  const inArray = fields(fc.oneof(one, fields(one)));
  const element = fields(
    fc.oneof({ weight: 3, arbitrary: leaf }, fc.array(fc.oneof(leaf, fields(leaf)), { maxLength: 3 })),
  );
  const list = fc.array(
    fc.oneof({ weight: 4, arbitrary: element }, leaf, fc.array(fc.oneof(element, leaf), { maxLength: 2 })),
    { maxLength: 5 },
  );
  const spelled = fc.record({ r: list, "r.a": list }, { requiredKeys: ["r"] });

  const answers = check(fc.tuple(fc.record({ r: inArray }), spelled) as fc.Arbitrary<readonly [object, object]>);

  expect(Math.min(answers.true, answers.false)).toBeGreaterThan(RUNS / 20);
});

test("stars find their parts in every text", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "a", "b", "c"), maxLength: 14 });
  const parts = fc.array(fc.string({ unit: fc.constantFrom("a", "a", "b", "c"), minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  });
  const stars = fc
    .tuple(parts, fc.boolean(), fc.boolean())
    .map(([all, before, after]) => `${before ? "*" : ""}${all.join("*")}${after ? "*" : ""}`);
  const pair = fc.tuple(stars, letters).map(([one, text]) => [{ a: [{ wildcard: one }] }, { a: text }] as const);

  const answers = check(pair);

  expect(Math.min(answers.true, answers.false)).toBeGreaterThan(RUNS / 50);
});

test("texts in a numeric column are numbers, and the same texts in other columns are texts", () => {
  const written = fc.constantFrom("0", "-0.00", "1", "1.0", "1.50", "100", "-2", "NaN", "0010", "1e0");
  const numeric = fc.tuple(fc.constantFrom("=", "<", "<=", ">", ">="), number).map((one) => ({ numeric: one }));
  const numbers = fc.array(
    fc.oneof(written, number, numeric, fc.record({ "anything-but": fc.oneof(written, number) })),
    { minLength: 1, maxLength: 2 },
  );
  const texts = fc.array(fc.oneof(written, fc.record({ "anything-but": written })), { minLength: 1, maxLength: 2 });
  const anything = fc.array(fc.oneof(written, number, numeric), { minLength: 1, maxLength: 2 });
  const row = { n: fc.oneof(written, number), t: written, j: fc.oneof(written, number, fc.array(written)) };
  const after = fc.oneof(fc.record({ n: numbers }), fc.record({ t: texts }), fc.record({ j: anything }));

  const answers = check(
    fc.tuple(fc.record({ after }), fc.record({ after: fc.record(row) })) as fc.Arbitrary<readonly [object, object]>,
    ["after.n"],
  );

  expect(Math.min(answers.true, answers.false)).toBeGreaterThan(RUNS / 20);
});
