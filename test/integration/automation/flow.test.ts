// How events flow to automations side by side: bounds, independence, beginnings, and the graceful stop.

import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import type { Bus } from "../../../src/bus/bus.ts";
import { onOrder, orders, startWorker } from "../../support/automations.ts";
import { overlaidBus } from "../../support/bus/overlaid-bus.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const skip = missing("nats");

test.skipIf(skip)("no more handlers run at once than concurrency allows, and all of them do", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  for (let id = 1; id <= 40; id++) await stream.order("created", { id, status: "new" });
  let running = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const three = onOrder(
    "three",
    async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running--;
    },
    { concurrency: 3 },
  );
  await using worker = await startWorker({ url, automations: [three] });
  await waitFor(() => running === 3, { what: "three handlers" });
  expect(worker.running.status()).toMatchObject([{ running: 3, held: 6 }]);
  await waitFor(
    () => {
      for (const finish of waiting.splice(0)) finish();
      return worker.metrics.counts["three.handled"] === 40;
    },
    { what: "all of them" },
  );
  expect(most).toBe(3);
  expect(worker.metrics.peak).toBe(3);
});

test.skipIf(skip)("a hanging automation and a failing one do not delay another", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  await stream.orders(Array.from({ length: 100 }, (_, n) => ({ id: n + 1, status: "new" })));
  let letGo = (): void => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const hanging = onOrder("hanging", () => gone);
  const failing = onOrder(
    "failing",
    () => {
      throw new Error("no");
    },
    { retry: { attempts: 2, min: "1m", max: "2m" } },
  );
  const quick = onOrder("quick", () => {});
  await using worker = await startWorker({ url, automations: [hanging, failing, quick] });
  await waitFor(() => worker.metrics.counts["quick.handled"] === 100, { what: "the quick one" });
  expect(worker.metrics.counts["hanging.handled"]).toBeUndefined();
  // Events that wait for their retry do not hold up those behind them either.
  await waitFor(() => worker.metrics.counts["failing.retried"] === 100, { what: "every first attempt" });
  letGo();
});

test.skipIf(skip)(
  "a new automation begins with what comes after it, or at the first event when it says so",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    await stream.order("created", { id: 1, status: "old" });
    const seen: string[] = [];
    const note =
      (name: string) =>
      ({ event }: { event: { after: { id: number } } }): void =>
        void seen.push(`${name} ${event.after.id}`);
    const now = onOrder("now", note("now"), { start: "now" });
    const earliest = onOrder("earliest", note("earliest"), { start: "earliest" });
    await using worker = await startWorker({ url, automations: [now, earliest] });
    await waitFor(() => worker.running.status().every(({ state }) => state === "running"), { what: "both to run" });
    await stream.order("created", { id: 2, status: "new" });
    await waitFor(() => seen.length === 3, { what: "three events" });
    expect(seen.sort()).toEqual(["earliest 1", "earliest 2", "now 2"]);
  },
);

test.skipIf(skip)("an automation waits for a stream that does not exist yet, and misses nothing of it", async () => {
  const { url } = await freshNats();
  const seen: number[] = [];
  const early = onOrder("early", ({ event }) => void seen.push(event.after.id), { start: "now" });
  let ask = (): void => {};
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const through = (bus: Bus): Bus =>
    overlaidBus(bus, { keepsForMs: (source) => asked.then(() => bus.keepsForMs(source)) });
  await using worker = await startWorker({ url, automations: [early], through });
  const state = (): string | undefined => worker.running.status()[0]?.state;
  expect(state()).toBe("starting");
  ask();
  await waitFor(() => state() === "waiting", { what: "it to wait" });
  await using stream = await ShopStream.create(url);
  await stream.order("created", { id: 1, status: "new" });
  await waitFor(() => seen.length === 1, { what: "the first event" });
  expect(seen).toEqual([1]);
  await waitFor(() => state() === "running", { what: "it to listen" });
});

test.skipIf(skip)(
  "what a new stream holds by the time that an automation may read it is new to the automation",
  async () => {
    const { url } = await freshNats();
    const seen: number[] = [];
    const early = onOrder("early", ({ event }) => void seen.push(event.after.id), { start: "now" });
    let admit = (): void => {};
    const admitted = new Promise<void>((resolve) => {
      admit = resolve;
    });
    await using worker = await startWorker({ url, automations: [early], admit: () => admitted });
    await waitFor(() => worker.running.status()[0]?.state === "waiting", { what: "it to wait" });
    await using stream = await ShopStream.create(url);
    await stream.order("created", { id: 1, status: "new" });
    admit();
    await waitFor(() => seen.length === 1, { what: "the first event" });
    expect(seen).toEqual([1]);
  },
);

test.skipIf(skip)(
  "a stop lets running handlers finish and gives back what was not started, at no attempt's cost",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    for (let id = 1; id <= 4; id++) await stream.order("created", { id, status: "new" });
    const attempts: string[] = [];
    const finish: (() => void)[] = [];
    const one = onOrder(
      "one",
      async ({ event, attempt }) => {
        attempts.push(`${event.after.id} ${attempt}`);
        await new Promise<void>((resolve) => finish.push(resolve));
      },
      { concurrency: 1 },
    );
    const first = await startWorker({ url, automations: [one] });
    await waitFor(() => first.running.status()[0]?.held === 2, { what: "one running and one prefetched" });
    const stopped = first.stop();
    finish.splice(0)[0]?.();
    await stopped;
    expect(attempts).toEqual(["1 1"]);
    expect(first.metrics.counts["one.handled"]).toBe(1);
    expect(first.running.status()).toMatchObject([{ state: "stopped", running: 0, held: 0 }]);
    expect(await stream.open("one")).toBe(3);

    await using second = await startWorker({ url, automations: [one] });
    await waitFor(
      () => {
        finish.splice(0)[0]?.();
        return second.metrics.counts["one.handled"] === 3;
      },
      { what: "the other three" },
    );
    expect([...attempts].sort()).toEqual(["1 1", "2 1", "3 1", "4 1"]);
  },
);

test.skipIf(skip)("an automation with other triggers keeps its place", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const seen: string[] = [];
  await stream.order("created", { id: 1, status: "new" });
  {
    const only = onOrder("grows", ({ event }) => void seen.push(`${event.op} ${event.after.id}`));
    await using worker = await startWorker({ url, automations: [only] });
    await waitFor(() => worker.metrics.counts["grows.handled"] === 1, { what: "the first event" });
  }
  await stream.order("created", { id: 2, status: "new" });
  await stream.order("updated", { id: 2, status: "paid" });
  const both = automation("grows", { on: [orders.created(), orders.updated()] }, ({ event }) => {
    seen.push(`${event.op} ${event.after.id}`);
  });
  await using worker = await startWorker({ url, automations: [both] });
  await waitFor(() => worker.metrics.counts["grows.handled"] === 2, { what: "two more" });
  expect(seen.sort()).toEqual(["created 1", "created 2", "updated 2"]);
});

test.skipIf(skip)("a durable that was deleted is made again where it stood, and its loss is told", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const seen: number[] = [];
  const steady = onOrder("steady", ({ event }) => void seen.push(event.after.id), { start: "now" });
  await using worker = await startWorker({ url, automations: [steady] });
  await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
  await stream.order("created", { id: 1, status: "new" });
  await waitFor(() => worker.metrics.counts["steady.handled"] === 1, { what: "the first event" });
  const jsm = await jetstreamManager(stream.nc);
  await jsm.consumers.delete("CDC_SHOP", "steady");
  await stream.order("created", { id: 2, status: "new" });
  await waitFor(() => worker.running.status()[0]?.reason?.code === "BUS_DURABLE_LOST", { what: "the loss" });
  await waitFor(() => worker.metrics.counts["steady.handled"] === 2, { what: "the second event" });
  expect(seen).toEqual([1, 2]);
});

test.skipIf(skip)("a durable of somebody else's fails the automation, not the others", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const jsm = await jetstreamManager(stream.nc);
  await jsm.consumers.add("CDC_SHOP", { durable_name: "taken", deliver_subject: "elsewhere" });
  await stream.order("created", { id: 1, status: "new" });
  const automations = [onOrder("taken", () => {}), onOrder("other", () => {})];
  await using worker = await startWorker({ url, automations });
  await waitFor(() => worker.metrics.counts["other.handled"] === 1, { what: "the other one" });
  const states = () => worker.running.status().map(({ state }) => state);
  // It also opens its durable of MILLRACE_RETRY before it counts as running.
  await waitFor(() => states().join() === "failed,running", { what: "the failure of one alone" });
  expect(worker.running.status()).toMatchObject([{ reason: { code: "BUS_DURABLE_FOREIGN" } }, { state: "running" }]);
});

test.skipIf(skip)("what waits for an automation is counted, in hand or not", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  for (let id = 1; id <= 5; id++) await stream.order("created", { id, status: "new" });
  let letGo = (): void => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  await using worker = await startWorker({ url, automations: [onOrder("deep", () => gone, { concurrency: 1 })] });
  await waitFor(() => worker.running.status()[0]?.held === 2, { what: "two in hand" });
  expect(await worker.running.depth("deep")).toEqual({ pending: 3, unacked: 2, later: 0 });
  letGo();
});

test.skipIf(skip)("two workers share the events of an automation, each event once", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const seen: number[] = [];
  const shared = onOrder("shared", async ({ event }) => {
    seen.push(event.after.id);
    await new Promise((resolve) => setImmediate(resolve));
  });
  await using one = await startWorker({ url, automations: [shared] });
  await using two = await startWorker({ url, automations: [shared] });
  await waitFor(() => [one, two].every((worker) => worker.running.status()[0]?.state === "running"), { what: "both" });
  await stream.orders(Array.from({ length: 200 }, (_, n) => ({ id: n + 1, status: "new" })));
  await waitFor(async () => (await stream.open("shared")) === 0, { what: "all of them" });
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  expect(one.metrics.counts["shared.handled"]).toBeGreaterThan(0);
  expect(two.metrics.counts["shared.handled"]).toBeGreaterThan(0);
});
