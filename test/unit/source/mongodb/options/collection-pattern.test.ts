import { expect, test } from "vitest";
import { collectionFilter, conditionsOf } from "../../../../../src/source/mongodb/options/collection-pattern.ts";

/** Names that mean something to an expression, or to nobody. */
const ODD = [
  "order-lines",
  "a.b",
  "a+b",
  "(a)",
  "[a]",
  "{a}",
  "a|b",
  "a?b",
  "^a",
  "a$",
  "a\\b",
  "a/b",
  "a\nb",
  "naïve 😀",
];

test("a name is itself and no other, whatever its letters mean to an expression", () => {
  for (const name of ODD) {
    const reads = collectionFilter([name]);
    expect(ODD.filter(reads), name).toEqual([name]);
  }
});

test("* stands for any letters, none and line ends among them; an exclusion leaves out what a pattern has named", () => {
  const reads = collectionFilter(["order*", "*-lines", "!order-temp*"]);
  expect(["order", "orders", "order\nx", "order-lines", "x-lines", "x\n-lines"].filter(reads)).toHaveLength(6);
  expect(["order-temp", "order-temp-lines", "xorder", "lines", "Order"].filter(reads)).toEqual([]);
  expect(ODD.filter(collectionFilter(["*"]))).toEqual(ODD);
  expect(["system.views", "system.buckets.x"].filter(collectionFilter(["*"]))).toEqual([]);
});

test("the server is asked by plain names where there is no *, and by the same expression where there is one", () => {
  expect(conditionsOf(["order-lines", "a.b", "x*"])).toEqual([
    { "ns.coll": { $in: ["order-lines", "a.b"] } },
    { "ns.coll": { $regex: "^x.*$", $options: "s" } },
  ]);
  expect(conditionsOf([])).toEqual([]);
});
