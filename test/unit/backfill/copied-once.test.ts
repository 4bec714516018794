// Which collections need no copy any more that the configuration asks for once.

import { expect, test } from "vitest";
import type { Order } from "../../../src/backfill/order.ts";
import type { Progress } from "../../../src/backfill/progress.ts";
import { copiedOnce, newestCopy } from "../../../src/backfill/standing.ts";

const collections = { "16384": "public.orders" };
const order: Order = {
  backfill: 2,
  state: "running",
  by: "the configuration",
  at: "2026-01-31T12:00:00Z",
  initial: { collections },
};
const told: Progress = { backfill: 2, state: "completed", startedAt: "2026-01-31T12:00:00Z", rows: 7, done: 1 };

test("those on record are copied once the newest copy is over, and nothing waits behind it", () => {
  expect(copiedOnce(newestCopy(order, told))).toEqual(collections);
  expect(copiedOnce(newestCopy({ ...order, state: "cancelled" }, undefined))).toEqual(collections);
  for (const state of ["copying", "waiting"] as const)
    expect(copiedOnce(newestCopy(order, { ...told, state }))).toEqual({});
  expect(copiedOnce(newestCopy({ ...order, state: "paused" }, { ...told, state: "copying" }))).toEqual({});
  expect(copiedOnce(newestCopy({ ...order, next: { ids: ["16385"] } }, told))).toEqual({});
});

test("none is where no copy was ever ordered, or its record is gone", () => {
  expect(copiedOnce(newestCopy(undefined, undefined))).toEqual({});
  expect(copiedOnce(newestCopy(undefined, told))).toEqual({});
});
