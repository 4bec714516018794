// Each option of a MongoDB source's guard moves the limit that it names, and no other.

import { expect, test } from "vitest";
import { crossings } from "../../../../../src/monitor/guard.ts";
import { oplogMetrics } from "../../../../../src/source/mongodb/oplog/oplog-metrics.ts";
import { parseMongoConfig } from "../../../../../src/source/mongodb/options/config.ts";

const url = "mongodb://127.0.0.1/?replicaSet=rs0";

/** Names of what is beyond its limit, of a source that is an hour behind in a log of two that is lost in two. */
function exceeded(guard: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  const config = parseMongoConfig({ url, database: "shop", ...(guard && { guard }) }, "sources.shop");
  const hold = { lost: 0, timeToFullSeconds: 7200, windowUsed: 0.5, windowSeconds: 7200, lagSeconds: 3600 };
  return crossings(new Set(), hold, oplogMetrics(config.guard)).map(({ measure }) => measure);
}
const quiet = { windowUsed: 0.9, window: "1m", timeToFull: "1m", lag: "10h" };

test("by default an hour behind is beyond the lag alone", () => {
  expect(exceeded(undefined)).toEqual(["lagSeconds"]);
  expect(exceeded(quiet)).toEqual([]);
});

test.each([
  ["windowUsed", 0.49, 0.51, "windowUsed"],
  ["window", "3h", "1h", "windowSeconds"],
  ["timeToFull", "3h", "1h", "timeToFullSeconds"],
  ["lag", "59m", "61m", "lagSeconds"],
] as const)("guard.%s: beyond at %s, and not at %s", (option, beyond, fine, measure) => {
  expect(exceeded({ ...quiet, [option]: beyond })).toEqual([measure]);
  expect(exceeded({ ...quiet, [option]: fine })).toEqual([]);
});

test("of a log that is lost nothing else is said", () => {
  const { guard } = parseMongoConfig({ url, database: "shop" }, "sources.shop");

  expect(crossings(new Set(), { lost: 1, lagSeconds: 9_000 }, oplogMetrics(guard))).toMatchObject([
    { measure: "lost", state: "exceeded" },
  ]);
});

test("what is beyond a limit is said with the page of what to do", () => {
  const { guard } = parseMongoConfig({ url, database: "shop" }, "sources.shop");

  for (const { name, limit, alarm, hint } of oplogMetrics(guard)) {
    const page = `docs/operations/oplog-${name === "lost" ? "lost" : "window"}.md`;
    expect([alarm(limit + 1, limit), hint]).toEqual([expect.stringContaining(page), expect.stringContaining(page)]);
  }
});
