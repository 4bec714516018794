// What of a pattern goes into a consumer's filters: nothing that it matches is left out, and no two filters overlap.

import fc from "fast-check";
import { expect, test } from "vitest";
import { compile, matches } from "../../../../src/automation/pattern/compile-pattern.ts";
import { subjectFilters } from "../../../../src/automation/pattern/subject-filters.ts";
import { escapeToken } from "../../../../src/event/subject.ts";

const filtersOf = (pattern: unknown): readonly string[] => subjectFilters(compile(pattern, {}));

test.each<readonly [string, unknown, readonly string[]]>([
  [
    "fields that it has",
    { source: ["shop"], collection: ["orders"], op: ["created", "deleted"] },
    ["cdc.shop.*.orders.created.*", "cdc.shop.*.orders.deleted.*"],
  ],
  ["names that are no tokens", { collection: ["Order Items"] }, ["cdc.*.*.Order~20Items.*.*"]],
  ["nothing of what subjects do not have", { after: { op: ["x"] } }, ["cdc.*.*.*.*.*"]],
  [
    "nothing of what is no plain text",
    { op: [{ "anything-but": "read" }], source: ["shop", { prefix: "x" }] },
    ["cdc.*.*.*.*.*"],
  ],
  ["nothing of an address, which is written in several ways", { collection: ["10.0.0.1"] }, ["cdc.*.*.*.*.*"]],
  [
    "each of its alternatives",
    { $or: [{ source: ["a"], op: ["created"] }, { source: ["b"] }] },
    ["cdc.a.*.*.created.*", "cdc.b.*.*.*.*"],
  ],
  ["one for two that overlap", { $or: [{ source: ["a"] }, { source: ["a"], op: ["created"] }] }, ["cdc.a.*.*.*.*"]],
  ["what takes both of two that cross", { $or: [{ source: ["a"] }, { op: ["created"] }] }, ["cdc.*.*.*.*.*"]],
])("filters say %s", (_what, pattern, expected) => {
  expect(filtersOf(pattern)).toEqual(expected);
});

test("more than sixteen become fewer that take more", () => {
  const collections = Array.from({ length: 10 }, (_, nth) => `t${nth}`);

  expect(filtersOf({ collection: collections })).toHaveLength(10);
  expect(filtersOf({ collection: collections, op: ["created", "deleted"] })).toEqual([
    "cdc.*.*.*.created.*",
    "cdc.*.*.*.deleted.*",
  ]);
  const or = Array.from({ length: 20 }, (_, nth) => ({
    collection: [`t${nth % 10}`],
    op: [nth < 10 ? "created" : "deleted"],
  }));
  expect(filtersOf({ $or: or })).toHaveLength(10);
});

test("whatever a pattern matches, exactly one of its filters takes", () => {
  const names = ["a", "b", "c d", ""];
  const values = fc.array(fc.oneof(fc.constantFrom(...names), fc.constant({ prefix: "a" })), {
    minLength: 1,
    maxLength: 3,
  });
  const fields = fc
    .record({ source: values, namespace: values, collection: values, op: values }, { requiredKeys: [] })
    .filter((one) => Object.keys(one).length > 0);
  const pattern = fc.oneof(
    fields,
    fc.array(fields, { minLength: 2, maxLength: 5 }).map(($or) => ({ $or })),
  );
  const name = fc.constantFrom(...names);
  const seed = Date.now() & 0x7fffffff;
  console.error(`seed ${seed}`);
  fc.assert(
    fc.property(pattern, fc.record({ source: name, namespace: name, collection: name, op: name }), (one, event) => {
      const compiled = compile(one, {});
      const { source, namespace, collection, op } = event;
      const tokens = ["cdc", ...[source, namespace, collection, op].map(escapeToken), "p03"];
      const taking = subjectFilters(compiled).filter((filter) =>
        filter.split(".").every((token, nth) => token === "*" || token === tokens[nth]),
      );
      expect(taking.length).toBeLessThan(2);
      if (matches(compiled, event)) expect(taking).toHaveLength(1);
    }),
    { seed, numRuns: 2_000 },
  );
});
