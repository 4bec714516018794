// What is received while the wire breaks or the server is killed: stored once for its id, and no id's record without its event.

import { randomInt } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import type { Bus } from "../../../src/bus/bus.ts";
import { TransientError } from "../../../src/errors.ts";
import type { WorkerEvent } from "../../../src/event/worker-event.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { jetStreamAt } from "../../contract/jetstream-server.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { waitFor } from "../../support/wait-for.ts";

const skip = missing("nats");
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function workerAt(url: string): Promise<Bus> {
  const bus = await jetStreamAt(url, { fsync: "always", timing: { pingIntervalMs: 500 }, log: silentLogger });
  open.push(bus);
  return bus;
}

function event(id: string): WorkerEvent {
  const [aggregate, name, lane] = ["payments", "paid", "p00"];
  const time = "2026-01-02T03:04:05.678Z";
  return { origin: "_in", aggregate, name, id, subject: aggregate, lane, time, data: Buffer.from("{}") };
}

/** As a sender does that has no answer: the same once more, until there is one. Whether it was the one that was stored. */
async function sent(bus: Bus, id: string): Promise<boolean> {
  for (;;) {
    try {
      return (await bus.receive(event(id), [{ key: id }])).stored;
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      await waitFor(() => bus.connected(), { what: "the connection" });
    }
  }
}

/** The ids of all events in their order, each right behind its record. */
async function idsAt(url: string): Promise<readonly (string | undefined)[]> {
  const messages = await readStream(url, "MILLRACE_EVENTS");
  const kinds = messages.map(({ subject }) => (subject.startsWith("dedupe._in.") ? "record" : "event"));
  expect(kinds.filter((kind, nth) => kind !== (nth % 2 === 0 ? "record" : "event"))).toEqual([]);
  return messages.filter((_, nth) => nth % 2 === 1).map(({ header }) => header("ce-id"));
}

test.skipIf(skip)("where the answer is lost it is stored once, and who asks hears that", async () => {
  const nats = await freshNats();
  const proxy = await TcpProxy.start(nats.port);
  open.push(proxy);
  const bus = await workerAt(proxy.url(nats.url));
  await bus.receive(event("first"), [{ key: "first" }]);
  proxy.blackHole("down");
  const asking = sent(bus, "asked");
  await waitFor(async () => (await idsAt(nats.url)).length === 2, { what: "the event" });
  proxy.cut();
  await proxy.heal();

  expect(await asking).toBeTypeOf("boolean");
  expect(await sent(bus, "asked")).toBe(false);
  expect(await idsAt(nats.url)).toEqual(["first", "asked"]);
});

test.skipIf(skip)("a batch that arrives after another worker has stored the id stores nothing", async () => {
  const nats = await freshNats();
  const proxy = await TcpProxy.start(nats.port);
  open.push(proxy);
  const [slow, quick] = [await workerAt(proxy.url(nats.url)), await workerAt(nats.url)];
  await slow.receive(event("first"), [{ key: "first" }]);
  const leftovers = proxy.keepBack();
  const asking = slow.receive(event("late"), [{ key: "late" }]).catch((error: unknown) => error);
  await waitFor(() => leftovers.bytes.includes("Nats-Batch-Commit"), { what: "the batch" });
  leftovers.cut();
  expect(await quick.receive(event("late"), [{ key: "late", note: "quick" }])).toEqual({ stored: true });
  leftovers.deliver();
  await leftovers.delivered;

  expect(await asking).toSatisfy((outcome) => outcome instanceof TransientError || outcome.stored === false);
  expect(await quick.receive(event("last"), [{ key: "last" }])).toEqual({ stored: true });
  expect(await idsAt(nats.url)).toEqual(["first", "late", "last"]);
});

test.skipIf(skip)("a server that is killed again and again stores each id once, and no record alone", async () => {
  const seed = randomInt(1_000_000);
  const nats = await freshNats();
  const workers = [await workerAt(nats.url), await workerAt(nats.url)];
  const answered = new Set<string>();
  let over = false;
  let next = 0;
  // Each id by both workers, as a sender's load balancer has it.
  const sender = async (): Promise<void> => {
    while (!over) {
      const id = `${seed}.${next++}`;
      const stored = await Promise.all(workers.map((worker) => sent(worker, id)));
      expect(stored.filter(Boolean).length, `id ${id}`).toBeLessThanOrEqual(1);
      answered.add(id);
    }
  };
  const senders = Array.from({ length: 8 }, sender);
  for (let kill = 0; kill < 2; kill++) {
    const before = answered.size;
    await waitFor(() => answered.size > before + 20, { what: "events" });
    await nats.kill();
    await nats.restart();
  }
  over = true;
  await Promise.all(senders);

  const ids = await idsAt(nats.url);
  expect(new Set(ids).size, `seed ${seed}`).toBe(ids.length);
  expect([...answered].filter((id) => !ids.includes(id))).toEqual([]);
});
