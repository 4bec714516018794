// Workers that stand still for longer than the bus waits for a sign of life, and what is left behind of settled events.

import { describe, expect, test } from "vitest";
import { onOrder, startWorker } from "../../support/automations.ts";
import type { Note } from "../../support/check/automation-order.ts";
import { AutomationProcess } from "../../support/process/automation-process.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("nats"))("a worker that stood still", () => {
  test("starts no handler for what another one has had meanwhile", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const notes: Note[] = [];
    const order = { url, automations: ["mail"], concurrency: 4, ackWaitMs: 1500, missedLookMs: 100 };
    for (let id = 1; id <= 8; id++) await stream.order("created", { id, status: "slow:300" });
    await using frozen = new AutomationProcess(order, (note) => notes.push(note));
    await waitFor(() => notes.length >= 4, { what: "the first handlers" });
    frozen.freeze();
    const begun = new Set(notes.filter(({ what }) => what === "start").map(({ id }) => id));
    for (let id = 9; id <= 40; id++) await stream.order("created", { id, status: "ok" });
    await using other = new AutomationProcess(order, (note) => notes.push(note));
    const handled = (): Set<number> =>
      new Set(notes.filter(({ what, pid }) => what === "ok" && pid === other.pid).map(({ id }) => id));
    // What the frozen one has not begun by then is the other's.
    const rest = Array.from({ length: 40 }, (_, nth) => nth + 1).filter((id) => !begun.has(id));
    await waitFor(() => rest.every((id) => handled().has(id)), { what: "the rest to be handled" });
    const before = notes.length;
    frozen.wake();
    await stream.order("created", { id: 41, status: "once" });
    await waitFor(() => notes.some(({ id, what }) => id === 41 && what === "ok"), { what: "what comes then" });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled" });

    const later = notes
      .slice(before)
      .filter(({ what, pid, id }) => what === "start" && pid === frozen.pid && id !== 41);
    expect(later.map(({ id }) => id)).toEqual([]);
    expect(await stream.deadLetters("mail")).toEqual([]);
  });

  test("has its own handler counted once when it comes to nothing, however late that is", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const attempts: number[] = [];
    const blocking = onOrder(
      "blocking",
      ({ attempt }) => {
        attempts.push(attempt);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
        throw new Error("no");
      },
      { retry: { attempts: 2, min: 20, max: 40 }, concurrency: 1 },
    );
    await stream.order("created", { id: 1, status: "new" });
    await using worker = await startWorker({ url, automations: [blocking], ackWaitMs: 600 });
    await waitFor(() => worker.metrics.counts["blocking.exhausted"] === 1, { what: "the dead letter" });
    expect(attempts).toEqual([1, 2]);
    expect(await stream.deadLetters("blocking")).toMatchObject([{ reason: "exhausted", attempts: 2 }]);
  });
});

test.skipIf(missing("nats"))("what is left in the state of a settled event is gone after a look", async () => {
  await using nats = await freshNats();
  const { url } = nats;
  await using stream = await ShopStream.create(url);
  const picky = onOrder(
    "picky",
    ({ event }) => {
      if (event.after.status === "bad") throw new Error("not yet");
    },
    { retry: { min: 60_000, max: 60_000 } },
  );
  for (const id of [1, 2, 3]) await stream.order("created", { id, status: "new" });
  await using worker = await startWorker({ url, automations: [picky], missedLookMs: 50 });
  await waitFor(async () => (await stream.open("picky")) === 0, { what: "all to be handled" });
  await stream.order("created", { id: 4, status: "bad" });
  const left = (): Promise<readonly string[]> => worker.bus.state.keys("attempts.picky.CDC_SHOP.");
  await waitFor(async () => (await left()).length === 1, { what: "the record of a failed attempt" });
  // As a kill between a dead letter and the deletion leaves them, and another automation's.
  for (const key of ["attempts.picky.CDC_SHOP.2", "attempts.picky.CDC_SHOP.3", "attempts.picky2.CDC_SHOP.1"])
    await worker.bus.state.put(key, { id: "x", attempts: 1, firstAt: 1 }, 0);
  await waitFor(async () => (await left()).length === 1, { what: "the sweep" });
  expect(await left()).toEqual(["attempts.picky.CDC_SHOP.4"]);
  expect(await worker.bus.state.keys("attempts.picky2.CDC_SHOP.")).toHaveLength(1);
});
