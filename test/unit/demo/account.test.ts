import { UUID } from "mongodb";
import { expect, test } from "vitest";
import { type DemoSummary, faultsOf } from "../../../src/demo/account.ts";

import { epochMs, Latency } from "../../../src/demo/latency.ts";
import { summaryLine } from "../../../src/demo/live-view.ts";
import { changeOf } from "../../../src/demo/mongodb/independent-log.ts";
import { parseLine } from "../../../src/demo/postgres/independent-log.ts";

test("a line of test_decoding becomes a change of the shop, others do not", () => {
  expect(parseLine("740", "table public.orders: INSERT: id[bigint]:7 status[text]:'id[bigint]:9'")).toEqual({
    transaction: "740",
    table: "orders",
    op: "created",
    id: "7",
  });
  const emitted =
    "table millrace.outbox: INSERT: id[uuid]:'a-1' aggregatetype[text]:'order' aggregateid[text]:'7' type[text]:'paid'";
  expect(parseLine("740", emitted)).toEqual({ transaction: "740", table: "order", op: "paid", id: "a-1" });
  expect(parseLine("740", "table millrace.outbox: DELETE: id[uuid]:'a-1'")).toBeUndefined();
  expect(parseLine("740", "table public.products: UPDATE: id[bigint]:3 name[text]:'x'")).toMatchObject({
    op: "updated",
  });
  expect(parseLine("740", "table public.order_items: DELETE: id[bigint]:5")).toMatchObject({ op: "deleted", id: "5" });
  for (const line of ["BEGIN 740", "COMMIT 740", "table ledger.entries: INSERT: changes[integer]:3"]) {
    expect(parseLine("740", line)).toBeUndefined();
  }
});

test("an event of the driver's change stream becomes a change of the shop, others do not", () => {
  const event = {
    operationType: "update",
    ns: { coll: "orders" },
    documentKey: { _id: 7 },
    lsid: { id: new UUID("00112233-4455-6677-8899-aabbccddeeff") },
    txnNumber: 12,
  };
  const transaction = "00112233445566778899aabbccddeeff:12";

  expect(changeOf(event)).toEqual({ transaction, table: "orders", op: "updated", id: "7" });
  expect(changeOf({ ...event, operationType: "delete" })).toMatchObject({ op: "deleted" });
  expect(changeOf({ ...event, operationType: "invalidate" })).toBeUndefined();
  expect(changeOf({ ...event, ns: { coll: "barriers" } })).toBeUndefined();
});

test("a commit's time is read to the microsecond, however many digits it has", () => {
  const whole = Date.parse("2026-11-22T10:00:00Z");

  expect(epochMs("2026-11-22T10:00:00Z") - whole).toBe(0);
  expect(epochMs("2026-11-22T10:00:00.5Z") - whole).toBe(500);
  expect(epochMs("2026-11-22T10:00:00.123456Z") - whole).toBeCloseTo(123.456, 2);
  expect(epochMs("2026-11-22T10:00:00.12345Z") - whole).toBeCloseTo(123.45, 2);
});

test("quantiles are of the measurements, and 0 without any", () => {
  const latency = new Latency();
  expect(latency.quantiles(0.5, 0.99)).toEqual([0, 0]);

  for (let ms = 100; ms >= 1; ms--) latency.add(ms);

  expect(latency.quantiles(0.5, 0.99, 1)).toEqual([50, 99, 100]);
});

test("the summary is one line", () => {
  const counts = { lost: 0, duplicated: 0, outOfOrder: 0, p50Ms: 1.2, p99Ms: 7 };

  expect(summaryLine({ committed: 9, published: 9, expected: 5, handled: 4, deadLettered: 1, ...counts })).toBe(
    "committed 9 · published 9 · handled 4 of 5 (1 dead letters) · lost 0 · duplicated 0 · outOfOrder 0 · commit-to-handler p50 1.2 ms p99 7 ms",
  );
});

test("anything that is not exact is a fault", () => {
  const exact: DemoSummary = {
    committed: 9,
    published: 9,
    expected: 5,
    handled: 4,
    deadLettered: 1,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
    p50Ms: 1,
    p99Ms: 2,
  };

  expect(faultsOf(exact, 9)).toEqual([]);
  for (const wrong of [
    { lost: 1 },
    { duplicated: 1 },
    { outOfOrder: 1 },
    { published: 8 },
    { handled: 3 },
    { deadLettered: 0 },
    { expected: 6 },
    { committed: 8 },
  ]) {
    expect(faultsOf({ ...exact, ...wrong }, 9)).not.toEqual([]);
  }
  expect(faultsOf(exact, 10)).toEqual(["the ledger has 9 changes, the database's own log 10"]);
  expect(faultsOf({ ...exact, committed: 0, published: 0 }, 0)).toEqual(["nothing was committed"]);
});
