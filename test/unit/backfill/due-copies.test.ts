// The one copy that the configuration asks for of a collection: ordered once, whatever restarts, and never forgotten.

import { expect, test } from "vitest";
import { DueCopies } from "../../../src/backfill/due-copies.ts";
import type { Order, Orders } from "../../../src/backfill/order.ts";
import type { Progress } from "../../../src/backfill/progress.ts";
import type { CopyTarget } from "../../../src/source/capabilities.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";

const target = (id: string, collection: string): CopyTarget => ({ id, namespace: "public", collection });
const asked = { by: "a test", at: "2026-01-02T03:04:05Z" };

/** A source that is started again and again: the record and the stream stay. */
class World {
  record: Order | undefined;
  stored: Progress | undefined;
  origin: string | undefined = "one";
  tables: readonly CopyTarget[] = [];
  looks = 0;
  readonly clock = new VirtualClock(0);

  start(): DueCopies {
    const orders: Orders = {
      read: async () => this.record,
      change: async (next) => {
        this.record = next(this.record) ?? this.record;
        // As it comes back from the bucket.
        if (this.record !== undefined) this.record = JSON.parse(JSON.stringify(this.record)) as Order;
        return this.record;
      },
    };
    const initial = async () => {
      this.looks++;
      return { origin: this.origin, targets: this.tables };
    };
    return new DueCopies({ copier: { initial }, orders, clock: this.clock });
  }

  /** What a worker that starts now finds to do. */
  due(): Promise<Order | undefined> {
    return this.start().order(this.stored);
  }

  is(state: Progress["state"]): void {
    this.stored = { backfill: this.record?.backfill ?? 0, state, startedAt: asked.at, rows: 0, done: 0 };
  }
}

test("a first start orders one copy of those that want one, and no later start orders it again", async () => {
  const world = new World();
  world.tables = [target("1", "orders"), target("2", "items")];

  expect(await world.due()).toMatchObject({ backfill: 1, state: "running", ids: ["1", "2"], by: "the configuration" });
  for (const state of ["copying", "waiting", "completed"] as const) {
    world.is(state);
    expect(await world.due()).toMatchObject({ backfill: 1, ids: ["1", "2"] });
    expect(world.record).not.toHaveProperty("next");
  }
});

test("what joins later is ordered behind the copy that runs, and then is the next one", async () => {
  const world = new World();
  world.tables = [target("1", "orders")];
  await world.due();
  world.is("copying");
  world.tables = [...world.tables, target("3", "late")];

  expect(await world.due()).toMatchObject({ backfill: 1, ids: ["1"], next: { ids: ["3"] } });
  world.tables = [...world.tables, target("4", "later")];
  expect(await world.due()).toMatchObject({ backfill: 1, next: { ids: ["3", "4"] } });
  world.is("completed");
  const next = await world.due();
  expect(next).toMatchObject({ backfill: 2, ids: ["3", "4"], initial: { collections: { 1: "public.orders" } } });
  expect(next).not.toHaveProperty("next");
});

test("a running worker looks every ten seconds, and before each new copy", async () => {
  const world = new World();
  world.tables = [target("1", "orders")];
  const due = world.start();
  await due.order(undefined);
  world.is("completed");
  for (let second = 0; second < 25; second++) {
    await due.order(world.stored);
    await world.clock.pass(1000);
  }
  const looks = world.looks;
  world.record = { ...(world.record as Order), backfill: 7 };
  await due.order(world.stored);

  expect([looks, world.looks]).toEqual([3, 4]);
});

test.each([
  ["renamed", { id: "1", collection: "purchases", origin: "one" }, false],
  ["of a database that was upgraded with its ids", { id: "1", collection: "orders", origin: "two" }, false],
  ["made anew under its name", { id: "9", collection: "orders", origin: "one" }, true],
  ["of another database, which has its own ids", { id: "1", collection: "parcels", origin: "two" }, true],
])("a table that is %s is copied again: %s", async (_, { id, collection, origin }, again) => {
  const world = new World();
  world.tables = [target("1", "orders")];
  await world.due();
  world.is("completed");
  world.tables = [target(id, collection)];
  world.origin = origin;

  const order = await world.due();
  expect(order).toMatchObject(again ? { backfill: 2, ids: [id] } : { backfill: 1 });
  expect(await world.due()).toEqual(order);
});

test("what a copy takes that has not begun needs no other", async () => {
  const world = new World();
  world.tables = [target("1", "orders"), target("2", "items")];
  world.record = { ...asked, backfill: 1, state: "paused", collections: ["public.orders"] };

  expect(await world.due()).toMatchObject({ collections: ["public.orders"], next: { ids: ["2"] } });
  world.record = { ...asked, backfill: 1, state: "running" };
  expect(await world.due()).not.toHaveProperty("next");
  // Cancelled before it began, or begun and perhaps past them: it does not count.
  world.record = { ...asked, backfill: 1, state: "cancelled" };
  expect(await world.due()).toMatchObject({ next: { ids: ["1", "2"] } });
  world.record = { ...asked, backfill: 1, state: "running" };
  world.is("copying");
  expect(await world.due()).toMatchObject({ next: { ids: ["1", "2"] } });
});

test("a copy that was cancelled is a person's decision, and is not ordered again", async () => {
  const world = new World();
  world.tables = [target("1", "orders")];
  await world.due();
  world.record = { ...(world.record as Order), state: "cancelled" };
  world.is("cancelled");

  expect(await world.due()).toMatchObject({ backfill: 1, state: "cancelled" });
});

const gap = { code: "SLOT_LOST", reason: "gone", after: "0001.a+", upTo: "0002.b+" };
const ofTable = { ...gap, code: "TABLE_ADDED", collections: ["public.late"], after: null };
const marked = (stored: Progress | undefined) => stored as unknown as Readonly<Record<string, unknown>> | undefined;

test("a gap orders a copy of what it covers, once however often it is told, behind a copy that runs", async () => {
  const world = new World();
  const { reason: _, ...copied } = gap;
  for (let told = 0; told < 3; told++) await world.start().repair(gap, undefined);
  expect(world.record).toMatchObject({ backfill: 1, state: "running", gaps: [copied] });
  expect(world.record).not.toHaveProperty("next");

  world.is("copying");
  const later = { ...gap, upTo: "0003.c+" };
  await world.start().repair({ ...later, partition: "a" }, marked(world.stored));
  await world.start().repair({ ...later, partition: "a" }, marked(world.stored));
  expect(world.record).toMatchObject({ backfill: 1, next: { gaps: [{ ...copied, upTo: "0003.c+", partition: "a" }] } });
  await world.start().repair(ofTable, marked(world.stored));
  expect(world.record?.next).toEqual({ gaps: [expect.anything(), expect.objectContaining({ code: "TABLE_ADDED" })] });
  world.is("completed");
  expect(await world.due()).toMatchObject({ backfill: 2, gaps: [{ upTo: "0003.c+" }, { code: "TABLE_ADDED" }] });
});

test("a table that joins with a gap, and is to be copied once, is copied once", async () => {
  const world = new World();
  world.tables = [target("1", "orders")];
  await world.due();
  world.is("completed");
  world.tables = [...world.tables, target("5", "late")];
  await world.start().repair(ofTable, marked(world.stored));
  const order = await world.due();

  expect(order).toMatchObject({ backfill: 2, collections: ["public.late"], gaps: [{ code: "TABLE_ADDED" }] });
  expect(order).toMatchObject({ initial: { collections: { 5: "public.late" } } });
  expect(order).not.toHaveProperty("next");
});
