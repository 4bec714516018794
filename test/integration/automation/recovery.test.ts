// What survives the end of a process, of the bus, and of both in the wrong moment.

import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import type { Bus } from "../../../src/bus/bus.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { waitFor } from "../../support/wait-for.ts";

const skip = missing("nats");
/** The shortest that keeps the tests short and leaves the signs of life time to arrive. */
const ackWaitMs = 600;

test.skipIf(skip)("attempts are counted across processes", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  await stream.order("created", { id: 1, status: "new" });
  const attempts: number[] = [];
  const failing = onOrder(
    "failing",
    ({ attempt }) => {
      attempts.push(attempt);
      throw new Error("no");
    },
    { retry: { attempts: 3, min: 300, max: 400 } },
  );
  for (let process = 1; process <= 2; process++) {
    await using worker = await startWorker({ url, automations: [failing] });
    await waitFor(() => worker.metrics.counts["failing.retried"] === 1, { what: `attempt ${process}` });
  }
  await using last = await startWorker({ url, automations: [failing] });
  await waitFor(() => last.metrics.counts["failing.exhausted"] === 1, { what: "the dead letter" });
  expect(attempts).toEqual([1, 2, 3]);
  expect(await stream.deadLetters("failing")).toMatchObject([{ reason: "exhausted", attempts: 3 }]);
});

test.skipIf(skip)(
  "a process that dies between the dead letter and the end of the event leaves one dead letter and starts no handler",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    await stream.order("created", { id: 1, status: "new" });
    let started = 0;
    const fatal = onOrder("fatal", ({ fatal }) => {
      started++;
      throw fatal("never");
    });
    let stored = false;
    const dyingAfterDeadLetter = (bus: Bus): Bus => ({
      stream: (source) => bus.stream(source),
      consume: (options) => bus.consume(options),
      forgetOlder: (source, durable) => bus.forgetOlder(source, durable),
      fetchBody: (ref) => bus.fetchBody(ref),
      keepsForMs: (source) => bus.keepsForMs(source),
      publish: (event) => bus.publish(event),
      receive: (event, keys) => bus.receive(event, keys),
      fire: (event, after) => bus.fire(event, after),
      newest: (origin, aggregate) => bus.newest(origin, aggregate),
      record: (records) => bus.record(records),
      logLosses: () => bus.logLosses(),
      instance: bus.instance,
      later: (message) => bus.later(message),
      read: (source, sequence) => bus.read(source, sequence),
      state: bus.state,
      schemas: bus.schemas,
      interruptions: () => bus.interruptions(),
      connected: () => bus.connected(),
      trouble: () => bus.trouble(),
      [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
      deadLetter: async (...letter) => {
        await bus.deadLetter(...letter);
        stored = true;
        await new Promise<never>(() => {});
      },
    });
    const first = await startWorker({ url, automations: [fatal], ackWaitMs, through: dyingAfterDeadLetter });
    await waitFor(() => stored, { what: "the dead letter" });
    await first.kill();
    await using second = await startWorker({ url, automations: [fatal], ackWaitMs });
    await waitFor(() => second.metrics.counts["fatal.fatal"] === 1, { what: "the end of the event" });
    expect(started).toBe(1);
    expect(await stream.deadLetters("fatal")).toHaveLength(1);
    expect(await stream.open("fatal")).toBe(0);
  },
);

test.skipIf(skip)(
  "an event whose handler ends the process again and again becomes a dead letter in the end",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    await stream.order("created", { id: 1, status: "new" });
    let started = 0;
    const deadly = onOrder(
      "deadly",
      async () => {
        started++;
        await new Promise<never>(() => {});
      },
      { retry: { attempts: 1, min: 10, max: 20 } },
    );
    for (let life = 1; life <= 6; life++) {
      const worker = await startWorker({ url, automations: [deadly], ackWaitMs: 150 });
      await waitFor(() => started === life, { what: `start ${life}` });
      await worker.kill();
    }
    await using last = await startWorker({ url, automations: [deadly], ackWaitMs: 150 });
    await waitFor(() => last.metrics.counts["deadly.crashed"] === 1, { what: "the dead letter" });
    expect(started).toBe(6);
    // All but the first one, which nothing was noted of.
    expect(await stream.deadLetters("deadly")).toMatchObject([{ reason: "crashed", attempts: 5 }]);
  },
);

test.skipIf(skip)(
  "a restart of the bus in the middle loses nothing, and no event is handled twice at once",
  async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const inHand = new Set<number>();
    const handled = new Map<number, number>();
    let overlaps = 0;
    const busy = onOrder("busy", async ({ event, attempt }) => {
      const { id } = event.after;
      if (inHand.has(id)) overlaps++;
      inHand.add(id);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inHand.delete(id);
      if (id % 10 === 0 && attempt === 1) throw new Error("once");
      handled.set(id, (handled.get(id) ?? 0) + 1);
    });
    await stream.orders(Array.from({ length: 300 }, (_, n) => ({ id: n + 1, status: "new" })));
    await using worker = await startWorker({ url: nats.url, automations: [busy], ackWaitMs: 2000 });
    for (const part of [60, 160]) {
      await waitFor(() => handled.size >= part, { what: `${part} events` });
      await nats.restart();
    }
    await waitFor(() => handled.size === 300, { what: "all events" });
    await waitFor(async () => (await stream.open("busy")) === 0, { what: "all acks" });
    expect(overlaps).toBe(0);
    expect(await stream.deadLetters("busy")).toEqual([]);
    // An ack whose confirmation was lost with the connection is asked for again.
    await waitFor(() => worker.running.status()[0]?.held === 0, { what: "every confirmation" });
    expect(worker.running.status()).toMatchObject([{ state: "running", running: 0 }]);
  },
);

test.skipIf(skip)("a dead letter waits for the bus to come back", async () => {
  const nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  await stream.order("created", { id: 1, status: "new" });
  let finish = (): void => {};
  let started = 0;
  const fatal = onOrder("fatal", async ({ fatal }) => {
    started++;
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    throw fatal("never");
  });
  await using worker = await startWorker({ url: nats.url, automations: [fatal], ackWaitMs: 2000 });
  await waitFor(() => started === 1, { what: "the handler" });
  await nats.kill();
  finish();
  await waitFor(() => worker.running.status()[0]?.running === 0, { what: "the handler's end" });
  await nats.restart();
  await waitFor(() => worker.metrics.counts["fatal.fatal"] === 1, { what: "the dead letter" });
  expect(started).toBe(1);
  expect(await stream.deadLetters("fatal")).toHaveLength(1);
});

test.skipIf(skip)("a dead letter finds its stream made again after somebody removed it", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const fatal = onOrder("fatal", ({ fatal }) => {
    throw fatal("never");
  });
  await using worker = await startWorker({ url, automations: [fatal] });
  await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
  await (await jetstreamManager(stream.nc)).streams.delete("MILLRACE_DEAD");
  await stream.order("created", { id: 1, status: "new" });
  await waitFor(() => worker.metrics.counts["fatal.fatal"] === 1, { what: "the dead letter" });
  expect(await stream.deadLetters("fatal")).toHaveLength(1);
});

test.skipIf(skip)("connections that go dumb and come back lose nothing", async () => {
  const nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  await using proxy = await TcpProxy.start(nats.port);
  const seen = new Set<number>();
  const busy = onOrder("busy", ({ event }) => void seen.add(event.after.id));
  await using worker = await startWorker({ url: proxy.url(nats.url), automations: [busy], ackWaitMs: 1000 });
  for (let round = 1; round <= 3; round++) {
    await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    if (round === 2) proxy.cut();
    else proxy.blackHole("down");
    for (let id = round * 100; id < round * 100 + 50; id++) await stream.order("created", { id, status: "new" });
    if (round === 3) proxy.cut();
    await proxy.heal();
    await waitFor(() => seen.size === round * 50, { what: `round ${round}` });
  }
  await waitFor(async () => (await stream.open("busy")) === 0, { what: "all acks" });
});
