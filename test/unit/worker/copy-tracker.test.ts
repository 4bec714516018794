// What a worker knows of the copy that it makes, by what people ask for and by what was stored.

import { expect, test } from "vitest";
import type { Order } from "../../../src/backfill/order.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { SideProducer } from "../../../src/source/capabilities.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { CopyTracker } from "../../../src/worker/copy-tracker.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

type Told = Readonly<Record<string, unknown>>;

const asked: Order = { backfill: 3, state: "running", by: "ann@db1", at: "2026-01-02T03:00:00Z" };
const begun = {
  backfill: 3,
  state: "copying",
  startedAt: "2026-01-02T03:00:01Z",
  rows: 0,
  done: 0,
  estimatedRows: 900,
};
const at = (id: string): Told => ({ namespace: "public", collection: "orders", id: "16384", after: { id } });

function ground(order: Order | undefined) {
  const clock = new VirtualClock();
  const counts = { copied: 0 };
  const events: unknown[] = [];
  const log = { ...silentLogger, info: (event: string, fields: object = {}) => void events.push([event, fields]) };
  const tracker = new CopyTracker({ source: "shop" as SourceId, counts, clock, log });
  let now = order;
  const heard = (): Promise<Order | undefined> => tracker.heard(async () => now)(undefined);
  /** Each is stored when the next one is asked for. */
  const steps = (after: Told | undefined, told: readonly Told[]) => {
    const producer: SideProducer = {
      async *read() {
        for (const progress of told) yield { notBefore: new Map(), rows: () => [], progress };
      },
    };
    return tracker.watched(producer).read({ after, signal: new AbortController().signal })[Symbol.asyncIterator]();
  };
  const ask = async (order: Order | undefined): Promise<void> => {
    now = order;
    await heard();
  };
  return { clock, counts, events, tracker, heard, ask, steps };
}

test("of a source that nobody asked to copy there is nothing", async () => {
  const { tracker, heard, events } = ground(undefined);
  await heard();

  expect([tracker.status(), events]).toEqual([undefined, []]);
});

test("rows are counted once stored, and what was stored before this worker is not counted", async () => {
  const { tracker, heard, steps, counts, clock } = ground(asked);
  await heard();
  const batches = steps({ ...begun, rows: 100, at: at("1") }, [
    { ...begun, rows: 150, at: at("2") },
    { ...begun, rows: 150, at: at("3") },
  ]);

  await batches.next();
  expect(counts.copied).toBe(0);
  clock.advance(5000);
  expect(tracker.status()).toEqual({
    ...{ backfill: 3, state: "copying", rows: 100, done: 0, estimatedRows: 900, collection: "public.orders" },
    ...{ by: "ann@db1", at: "2026-01-02T03:00:00Z", idleMs: 5000 },
  });
  await batches.next();
  expect(counts.copied).toBe(50);
  clock.advance(1000);
  await batches.next(); // rows that a newer event has made needless were passed
  expect(tracker.status()).toMatchObject({ rows: 150, idleMs: 0 });
  tracker.closed();
  expect(tracker.status()).toBe(undefined);
});

test("a reason to wait is no step, and a pause is no idleness", async () => {
  const { tracker, heard, ask, steps, clock, events } = ground(asked);
  const reason = { code: "BACKFILL_REFUSED", message: "no key", hint: "give it one" };
  await heard();
  const batches = steps(begun, [{ ...begun, state: "waiting", reason }]);
  await batches.next();
  clock.advance(9000);
  await batches.next();

  expect(tracker.status()).toMatchObject({
    ...{ state: "waiting", idleMs: 9000 },
    reason: { code: "BACKFILL_REFUSED", message: "no key" },
  });
  await ask({ ...asked, state: "paused", by: "bob@db1" });
  expect(tracker.status()).toMatchObject({ state: "paused", by: "bob@db1" });
  expect(tracker.status()).not.toHaveProperty("idleMs");
  expect(tracker.status()).not.toHaveProperty("reason");
  await ask({ ...asked, by: "bob@db1" });
  expect(tracker.status()).toMatchObject({ state: "waiting", idleMs: 0 });
  expect(events).toMatchObject([
    ["backfill_paused", { source: "shop", backfill: 3, by: "bob@db1" }],
    ["backfill_resumed", { source: "shop", backfill: 3, by: "bob@db1" }],
  ]);
});

test("progress is logged once a minute while rows come", async () => {
  const { heard, steps, clock, events } = ground(asked);
  clock.advance(60_000);
  await heard();
  const told = Array.from({ length: 13 }, (_, nth) => ({ ...begun, rows: nth + 1, at: at(`${nth}`) }));
  for await (const _ of { [Symbol.asyncIterator]: () => steps(begun, told) }) clock.advance(10_000);

  expect(events).toMatchObject([
    ["backfill_progress", { rows: 1 }],
    ["backfill_progress", { rows: 7, estimatedRows: 900, collection: "public.orders" }],
    ["backfill_progress", { rows: 13 }],
  ]);
});
