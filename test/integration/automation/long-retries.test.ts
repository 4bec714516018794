// Retries that wait in MILLRACE_RETRY of a real nats-server: workers and server are killed at each step, and the server's store is
// put back.

import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import type { Bus } from "../../../src/bus/bus.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const ackWaitMs = 1500;
/** Longer than this is a long retry here. */
const longestPauseMs = 300;
const LATER_MS = 2500;

interface Start {
  readonly id: number;
  readonly attempt: number;
  readonly at: number;
}

/** An automation that puts each order off once, and notes its starts. */
function puttingOff(laterMs = LATER_MS) {
  const starts: Start[] = [];
  const mail = onOrder("mail", ({ event, attempt, retry }) => {
    starts.push({ id: event.after.id, attempt, at: Date.now() });
    if (attempt === 1) throw retry({ after: laterMs });
  });
  return { starts, mail };
}

/** Puts something before or behind the storing of what waits. */
const around =
  (later: (store: () => ReturnType<Bus["later"]>) => ReturnType<Bus["later"]>) =>
  (bus: Bus): Bus =>
    new Proxy(bus, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown;
        if (name === "later") return (...message: Parameters<Bus["later"]>) => later(() => target.later(...message));
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
const never = (): Promise<never> => new Promise(() => {});

async function waiting(stream: ShopStream): Promise<number> {
  return (await (await jetstreamManager(stream.nc)).streams.info("MILLRACE_RETRY")).state.messages;
}

/** All is over: nothing waits, and nothing is remembered. */
async function over(stream: ShopStream, bus: Bus): Promise<void> {
  await waitFor(async () => (await waiting(stream)) === 0 && (await stream.open("mail")) === 0, {
    what: "all events to be over",
  });
  await waitFor(async () => (await bus.state.keys("attempts.")).length === 0, {
    what: "what is remembered to be gone",
  });
}

const afterFirst = (starts: readonly Start[]): number => (starts[1]?.at ?? 0) - (starts[0]?.at ?? 0);

describe.skipIf(missing("nats"))("a long retry", () => {
  const common = { ackWaitMs, longestPauseMs, missedLookMs: 100 };

  test("holds nothing of its own durable, and outlives the source's stream, worker and server", async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { starts, mail } = puttingOff();
    await stream.order("created", { id: 1, status: "new" });
    const first = await startWorker({ url: nats.url, automations: [mail], ...common });
    await waitFor(async () => (await waiting(stream).catch(() => 0)) === 1, { what: "it to wait" });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "its durable to be free" });
    // A killed server may forget the ack, and only the worker's own record then tells that the evicted event was settled.
    await first.stop();
    await nats.kill();
    await nats.restart();
    // Of the source's stream only an event is left that the automation does not hear.
    const evict = async () => {
      await stream.order("deleted", { id: 2, status: "new" });
      await stream.keepOnly(1);
    };
    await waitFor(
      () =>
        evict().then(
          () => true,
          () => false,
        ),
      { what: "the server to take it" },
    );
    await using second = await startWorker({ url: nats.url, automations: [mail], ...common });
    await waitFor(() => starts.length === 2, { what: "the second attempt" });
    await over(stream, second.bus);

    expect(starts.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(afterFirst(starts)).toBeGreaterThanOrEqual(LATER_MS);
    expect(second.metrics.counts).toMatchObject({ "mail.handled": 1 });
  });

  test.each(["before it is stored", "between the bus' acknowledgement and the ack"])(
    "of a worker that is killed %s waits once and is tried once, no sooner than it is due",
    async (when) => {
      const nats = await freshNats();
      await using stream = await ShopStream.create(nats.url);
      const { starts, mail } = puttingOff(3500);
      await stream.order("created", { id: 1, status: "new" });
      let reached = false;
      const stops = around(async (store) => {
        if (when !== "before it is stored") await store();
        reached = true;
        await never();
      });
      const first = await startWorker({ url: nats.url, automations: [mail], ...common, through: stops });
      await waitFor(() => reached, { what: "the step" });
      await first.kill();
      await using second = await startWorker({ url: nats.url, automations: [mail], ...common });
      await waitFor(async () => (await stream.open("mail")) === 0, { what: "its durable to be free" });
      expect(await waiting(stream)).toBe(1);
      await waitFor(() => starts.length === 2, { what: "the second attempt" });
      await over(stream, second.bus);

      expect(starts.map(({ attempt }) => attempt)).toEqual([1, 2]);
      expect(afterFirst(starts)).toBeGreaterThanOrEqual(3500);
      expect(second.metrics.counts).toMatchObject({ "mail.handled": 1 });
    },
  );

  test("whose handler ends the worker each time is dead as crashed, where its event stands", async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const sequence = await stream.order("created", { id: 1, status: "new" });
    let begun = 0;
    const deadly = onOrder("mail", async ({ attempt, retry }) => {
      if (attempt === 1) throw retry({ after: 400 });
      begun++;
      await never();
    });
    for (let life = 1; life <= 5; life++) {
      const worker = await startWorker({ url: nats.url, automations: [deadly], ...common });
      await waitFor(() => begun === life || worker.metrics.counts["mail.crashed"] === 1, { what: `start ${life}` });
      await worker.kill();
    }
    await using last = await startWorker({ url: nats.url, automations: [deadly], ...common });
    await waitFor(() => begun === 6 || last.metrics.counts["mail.crashed"] === 1, { what: "the end" });
    if (begun === 6) {
      await last.kill();
      await using again = await startWorker({ url: nats.url, automations: [deadly], ...common });
      await waitFor(() => again.metrics.counts["mail.crashed"] === 1, { what: "the dead letter" });
    }

    expect(await stream.deadLetters("mail")).toMatchObject([
      { reason: "crashed", error: { code: "AUTOMATION_CRASHED" }, event: { stream: "CDC_SHOP", sequence } },
    ]);
    await waitFor(async () => (await waiting(stream)) === 0, { what: "nothing to wait" });
  });

  test("whose durable is deleted, there and where the event stands, is tried once", async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { starts, mail } = puttingOff();
    await stream.order("created", { id: 1, status: "new" });
    await using worker = await startWorker({ url: nats.url, automations: [mail], ...common });
    await waitFor(async () => (await waiting(stream).catch(() => 0)) === 1, { what: "it to wait" });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "its durable to be free" });
    const { consumers } = await jetstreamManager(stream.nc);
    await consumers.delete("MILLRACE_RETRY", "mail");
    await consumers.delete("CDC_SHOP", "mail");
    await waitFor(() => starts.length === 2, { what: "the second attempt" });
    await over(stream, worker.bus);

    expect(starts.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(afterFirst(starts)).toBeGreaterThanOrEqual(LATER_MS);
  });

  test("that a server forgets which is set back to before it was stored is put off anew, and none is lost", async () => {
    const nats = await freshNats();
    const copy = join(await scratchDir(), "copy");
    const stream = await ShopStream.create(nats.url);
    const { starts, mail } = puttingOff(1500);
    let held = true;
    const go: (() => void)[] = [];
    const holding = around(async (store) => {
      if (held) await new Promise<void>((resolve) => go.push(resolve));
      await store();
    });
    for (let id = 1; id <= 5; id++) await stream.order("created", { id, status: "new" });
    await using worker = await startWorker({ url: nats.url, automations: [mail], ...common, through: holding });
    await waitFor(() => go.length === 5, { what: "all to be about to wait" });
    // The copy has them in hand, and nothing in MILLRACE_RETRY.
    nats.pause();
    await cp(nats.dataDir, copy, { recursive: true });
    nats.resume();
    held = false;
    for (const one of go) one();
    await waitFor(async () => (await waiting(stream)) === 5, { what: "all to wait" });
    await nats.kill();
    await rm(nats.dataDir, { recursive: true });
    await cp(copy, nats.dataDir, { recursive: true });
    await nats.restart();
    await waitFor(() => new Set(starts.filter(({ attempt }) => attempt === 2).map(({ id }) => id)).size === 5, {
      what: "the second attempt of each",
    });
    await over(stream, worker.bus);

    for (const id of [1, 2, 3, 4, 5])
      expect(starts.filter((one) => one.id === id).map(({ attempt }) => attempt)).toContain(2);
    expect(await stream.deadLetters("mail").catch(() => [])).toEqual([]);
    await stream[Symbol.asyncDispose]();
  });

  test("keeps its number to itself: where a server that was set back gives it to another, both are handled", async () => {
    const nats = await freshNats();
    const copy = join(await scratchDir(), "copy");
    await using stream = await ShopStream.create(nats.url);
    const starts: Start[] = [];
    let finish = (): void => {};
    const mail = onOrder("mail", async ({ event, attempt, retry }) => {
      const { id } = event.after;
      starts.push({ id, attempt, at: Date.now() });
      if (attempt === 1) throw retry({ after: 500 });
      if (id === 1 && starts.filter((one) => one.id === 1 && one.attempt === 2).length === 1)
        await new Promise<void>((resolve) => (finish = resolve));
    });
    await using worker = await startWorker({ url: nats.url, automations: [mail], ...common });
    await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    nats.pause();
    await cp(nats.dataDir, copy, { recursive: true });
    nats.resume();
    await stream.order("created", { id: 1, status: "new" });
    await waitFor(() => starts.some(({ attempt }) => attempt === 2), { what: "the first one to be in hand again" });
    await nats.kill();
    await rm(nats.dataDir, { recursive: true });
    await cp(copy, nats.dataDir, { recursive: true });
    await nats.restart();
    const back = (): Promise<boolean> =>
      stream.nc.flush().then(
        () => true,
        () => false,
      );
    await waitFor(back, { what: "the connection" });
    // The first of them has the number in the stream that the lost one had, and waits for that one's end; the retry of the other
    // gets the number that the lost one's had.
    await stream.order("created", { id: 3, status: "new" });
    await stream.order("created", { id: 2, status: "new" });
    await waitFor(async () => (await waiting(stream)) === 1, { what: "the second one to wait" });
    finish();
    await waitFor(() => [2, 3].every((id) => starts.some((one) => one.id === id && one.attempt === 2)), {
      what: "the second attempts of both",
    });
    await over(stream, worker.bus);
    for (const id of [2, 3])
      expect(starts.filter((one) => one.id === id).map(({ attempt }) => attempt)).toEqual([1, 2]);
  });
});
