// What a copy reads while the rows before it are stored, and how often it asks what people want, with a scripted copier.

import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import { type Clock, WakeUp } from "../../../src/clock.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CopyBatch, RowCopier } from "../../../src/source/capabilities.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { copiedRow, ordersRead } from "../../support/bus/copied-rows.ts";

const running: Order = { backfill: 1, state: "running", by: "a test", at: "2026-01-02T03:04:05Z" };
const ROWS = 100;

/** Time that passes only where it is slept through, at once. */
function sleepingClock(): Clock {
  let now = 0;
  const sleep = async (ms: number): Promise<void> => {
    now += ms;
  };
  return { now: () => now, wall: () => now, sleep };
}

/** Of one collection with the keys 1 to 100, in slices of ten rows. @returns for each batch with rows how many slices were begun by then */
async function copied(order: Order, more: Partial<RowCopier>): Promise<{ begun: readonly number[]; looks: number }> {
  let begun = 0;
  let looks = 0;
  const copier: RowCopier = {
    ...more,
    targets: async () => [{ id: "16384", namespace: "public", collection: "orders" }],
    readSlice: async ({ after, maxRows }) => {
      begun++;
      const from = Number(after?.id ?? 0);
      const rows = Array.from({ length: Math.min(maxRows, ROWS - from) }, (_, nth) => copiedRow(`${from + nth + 1}`));
      return {
        ...{ rows, after: (nth) => ({ id: from + nth + 1 }), isLast: from + maxRows >= ROWS },
        ...{ version: ordersRead.version, notBefore: new Map(), includes: () => true },
      };
    },
  };
  const backfill = new Backfill(
    {
      ...{ source: "shop" as SourceId, copier, clock: sleepingClock(), log: silentLogger, maxMessageBytes: 1_000_000 },
      ...{ maxRows: 10, maxBatchRows: 5 },
      order: async () => {
        looks++;
        return order;
      },
    },
    undefined,
  );
  const ended = new AbortController();
  const counts: number[] = [];
  for await (const batch of backfill.read({ signal: ended.signal })) {
    if (batch.rows().length > 0) counts.push(begun);
    if (batch.progress.state === "completed") break;
  }
  ended.abort();
  return { begun: counts, looks };
}

test.each([
  ["while the rows of one are stored the next slice is read, and no further one", running, true, 1],
  ["of a copier that goes by what is stored, no slice is read ahead", running, undefined, 0],
  ["with a rate no slice is read ahead", { ...running, rate: 1000 }, true, 0],
] as const)("%s", async (_, order, readsAhead, ahead) => {
  const { begun } = await copied(order, readsAhead === undefined ? {} : { readsAhead });

  const batches = ROWS / 5;
  const own = Array.from({ length: batches }, (_, nth) => Math.floor(nth / 2) + 1);
  expect(begun).toEqual(own.map((nth) => Math.min(nth + ahead, ROWS / 10)));
});

test("a copier is told to rest once nothing is read for a copy that was paused", async () => {
  let reading = 0;
  const atRest: number[] = [];
  const later = new WakeUp();
  const paused = new WakeUp();
  const copier: RowCopier = {
    readsAhead: true,
    targets: async () => [{ id: "16384", namespace: "public", collection: "orders" }],
    readSlice: async ({ after }) => {
      reading++;
      if (after !== undefined) await later.wait();
      reading--;
      const slice = { rows: [copiedRow("1")], after: () => ({ id: "1" }), isLast: false };
      return { ...slice, version: ordersRead.version, notBefore: new Map(), includes: () => true };
    },
    rest: async () => {
      atRest.push(reading);
      paused.set();
    },
  };
  let order = running;
  const common = { source: "shop" as SourceId, copier, clock: sleepingClock(), log: silentLogger };
  const backfill = new Backfill({ ...common, maxMessageBytes: 1_000_000, order: async () => order }, undefined);
  const ended = new AbortController();
  const batches = backfill.read({ signal: ended.signal });
  await batches.next();
  const batch = (await batches.next()).value as CopyBatch;
  batch.rows();
  order = { ...running, state: "paused" };
  void batches.next();
  await setImmediate();
  expect([reading, atRest]).toEqual([1, []]);
  later.set();
  await paused.wait();

  expect(atRest[0]).toBe(0);
  ended.abort();
});

test("what people ask for is not looked for behind each batch, but as time passes", async () => {
  const { looks } = await copied(running, { readsAhead: true });
  // No time passes: for the first marker, for the collection, once behind a batch, and for the end.
  expect(looks).toBe(4);
});
