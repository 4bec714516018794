// When the guard speaks: once at a limit, and once when a measure is well back behind it.

import { expect, test } from "vitest";
import { type Crossing, crossings } from "../../../src/monitor/guard.ts";
import { slotMetrics } from "../../../src/source/postgres/slot/slot-metrics.ts";
import type { LogRetention } from "../../../src/source/retention.ts";

const metrics = slotMetrics({ retainedBytes: 1000, timeToFullMs: 60_000, lagMs: 10_000, catalogXminAge: 50 });
const fine: LogRetention = {
  lost: 0,
  retainedBytes: 10,
  timeToFullSeconds: undefined,
  lagSeconds: 0,
  catalogXminAge: 1,
};
const after = (hold: LogRetention, ...exceeded: readonly string[]): readonly Crossing[] =>
  crossings(new Set(exceeded), { ...fine, ...hold }, metrics);

test.each([
  ["retainedBytes", 1000, 1001, 801, 800],
  ["lagSeconds", 10, 10.1, 8.1, 8],
  ["catalogXminAge", 50, 51, 41, 40],
  ["timeToFullSeconds", 60, 59, 74, 75],
] as const)("%s: %d is no crossing, %d is; then %d is still beyond, %d is back", (measure, at, beyond, near, back) => {
  const limit = metrics.find(({ name }) => name === measure)?.limit;

  expect(after({ [measure]: at })).toEqual([]);
  expect(after({ [measure]: beyond })).toEqual([{ measure, state: "exceeded", value: beyond, limit }]);
  expect(after({ [measure]: beyond }, measure)).toEqual([]);
  expect(after({ [measure]: near }, measure)).toEqual([]);
  expect(after({ [measure]: back }, measure)).toEqual([{ measure, state: "recovered", value: back, limit }]);
});

test("a time to full that is no more has recovered", () => {
  expect(after({}, "timeToFullSeconds")).toMatchObject([{ measure: "timeToFullSeconds", state: "recovered" }]);
});

test("of a log that is lost the other measures say nothing, until there is one again", () => {
  const lost: LogRetention = { ...fine, lost: 1, retainedBytes: undefined, lagSeconds: undefined };

  expect(crossings(new Set(["retainedBytes"]), lost, metrics)).toMatchObject([{ measure: "lost", state: "exceeded" }]);
  expect(after({}, "lost", "retainedBytes")).toMatchObject([
    { measure: "lost", state: "recovered" },
    { measure: "retainedBytes", state: "recovered" },
  ]);
});

test("a slot that is gone exceeds nothing any more", () => {
  expect(crossings(new Set(["lost", "retainedBytes"]), undefined, metrics)).toEqual([
    { measure: "lost", state: "recovered", value: undefined, limit: 0 },
    { measure: "retainedBytes", state: "recovered", value: undefined, limit: 1000 },
  ]);
});
