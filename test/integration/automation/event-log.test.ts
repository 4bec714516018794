// What became of events, in MILLRACE_LOG: one outcome for each, there before the ack, and again where the bus may have lost it.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import type { Bus, LogRecord } from "../../../src/bus/bus.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { overlaidBus } from "../../support/bus/overlaid-bus.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const skip = missing("nats");
const ackWaitMs = 2000;

/** `done 3` for each event of each record, the oldest first. */
async function outcomes(url: string, automation: string): Promise<readonly string[]> {
  const records = await readStream(url, "MILLRACE_LOG");
  return records.flatMap(({ subject, text }) => {
    const [, id, outcome] = subject.split(".");
    const { sequence, ranges = [[sequence, sequence]] } = JSON.parse(text);
    if (id !== automation) return [];
    return (ranges as [number, number][]).flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, n) => `${outcome} ${first + n}`),
    );
  });
}

/** A server that is killed and comes back without these streams, to the worker that was there before. */
async function loseStreams(
  nats: NatsServer,
  worker: Awaited<ReturnType<typeof startWorker>>,
  names: readonly string[] | "all",
): Promise<void> {
  const store = join(nats.dataDir, "jetstream");
  await nats.kill();
  const lost = names === "all" ? [store] : names.map((name) => join(store, "$G", "streams", name));
  for (const path of lost) await rm(path, { recursive: true });
  await nats.restart();
  await waitFor(() => worker.bus.connected(), { what: "the worker to be connected" });
}

test.skipIf(skip)("each event ends in one outcome, with what led to it and without its row", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const mixed = onOrder(
    "mixed",
    ({ event, attempt, skip, fatal }) => {
      const { id } = event.after;
      if (id === 2) return skip("nothing to do");
      if (id === 3 && attempt === 1) throw Object.assign(new Error("row 3 said secret"), { code: "ECONNREFUSED" });
      if (id === 4) throw fatal("never");
      return undefined;
    },
    { where: { after: { status: ["new"] } } },
  );
  for (let id = 1; id <= 5; id++) await stream.order("created", { id, status: id === 5 ? "old" : "new" });
  await using worker = await startWorker({ url, automations: [mixed] });
  await waitFor(async () => (await stream.open("mixed")) === 0, { what: "the acks" });

  expect([...(await outcomes(url, "mixed"))].sort()).toEqual([
    "dead 4",
    "done 1",
    "done 3",
    "filtered 5",
    "retried 3",
    "skipped 2",
  ]);
  const records = await readStream(url, "MILLRACE_LOG");
  const about = (outcome: string) =>
    JSON.parse(records.find(({ subject }) => subject === `log.mixed.${outcome}`)?.text ?? "");
  const common = { stream: "CDC_SHOP", worker: worker.bus.instance, correlationId: expect.stringMatching(/^shop\./) };
  expect(about("skipped")).toMatchObject({ ...common, sequence: 2, attempt: 1, reason: "nothing to do" });
  expect(about("retried")).toMatchObject({ ...common, sequence: 3, attempt: 1, error: { code: "ECONNREFUSED" } });
  expect(about("retried").delayMs).toBeGreaterThanOrEqual(20);
  expect(about("dead")).toMatchObject({
    ...common,
    sequence: 4,
    attempt: 1,
    reason: "fatal",
    error: { name: "Fatal" },
  });
  expect(records.map(({ text }) => text).join()).not.toMatch(/secret|"new"|"old"/);
});

test.skipIf(skip)("a record passes over the events of others, and many events are few records", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  for (let id = 1; id <= 300; id++) await stream.order(id % 3 === 0 ? "deleted" : "created", { id, status: "new" });
  await using _worker = await startWorker({ url, automations: [onOrder("busy", () => {})] });
  await waitFor(async () => (await stream.open("busy")) === 0, { what: "the acks" });

  const bodies = (await readStream(url, "MILLRACE_LOG")).map(({ text }) => JSON.parse(text));
  expect(bodies.length).toBeLessThan(50);
  expect(bodies.flatMap(({ ranges }) => ranges).length).toBeLessThan(100);
  expect(bodies.reduce((sum, { count }) => sum + count, 0)).toBe(200);
});

/** Holds what is about to follow the first record back until `goOn`. */
function heldBehindRecord(): {
  through: (bus: Bus) => Bus;
  told: Promise<void>;
  goOn: () => void;
  records: LogRecord[];
} {
  const records: LogRecord[] = [];
  let tell = (): void => {};
  let goOn = (): void => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const going = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const through = (bus: Bus): Bus =>
    overlaidBus(bus, {
      record: async (some) => {
        const losses = await bus.record(some);
        records.push(...some);
        tell();
        await going;
        return losses;
      },
    });
  return { through, told, goOn: () => goOn(), records };
}

test.skipIf(skip)(
  "a worker that is killed between record and ack leaves the event to the next one, which tells it too",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    await stream.order("created", { id: 1, status: "new" });
    const started: number[] = [];
    const mail = onOrder("mail", ({ event }) => void started.push(event.after.id));
    const held = heldBehindRecord();
    const first = await startWorker({ url, automations: [mail], ackWaitMs, through: held.through });
    await held.told;
    await first.kill();
    await using _second = await startWorker({ url, automations: [mail], ackWaitMs });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "the ack" });

    expect(started).toEqual([1, 1]);
    expect(await outcomes(url, "mail")).toEqual(["done 1", "done 1"]);
  },
);

/** Makes the streams of letters and records on a server, which forget ids soon. */
async function makeForgetful(url: string): Promise<AsyncDisposable & { forgotten(): Promise<void> }> {
  const nc = await connect({ servers: url });
  const jsm = await jetstreamManager(nc);
  for (const [name, subject] of [
    ["MILLRACE_DEAD", "dead.>"],
    ["MILLRACE_LOG", "log.>"],
  ] as const)
    await jsm.streams.add({ name, subjects: [subject], allow_direct: true, duplicate_window: nanos(100) });
  const js = jetstream(nc);
  const taken = (subject: string): Promise<boolean> =>
    js.publish(subject, "{}", { msgID: "probe" }).then(({ duplicate }) => !duplicate);
  return {
    forgotten: async () => {
      for (const subject of ["dead.probe", "log.probe.dead"]) {
        await taken(subject);
        await waitFor(() => taken(subject), { what: `${subject} to be taken again` });
      }
    },
    [Symbol.asyncDispose]: () => nc.close(),
  };
}

test.skipIf(skip).each([
  ["stored", "remembers"],
  ["told", "remembers"],
  ["stored", "has forgotten"],
  ["told", "has forgotten"],
] as const)(
  "a worker that is killed when its dead letter is %s leaves an event that is dead and told once, where the bus %s ids, and starts no handler",
  async (last, ids) => {
    const { url } = await freshNats();
    await using forgetful = ids === "remembers" ? undefined : await makeForgetful(url);
    await using stream = await ShopStream.create(url);
    await stream.order("created", { id: 1, status: "new" });
    const started: number[] = [];
    const fatal = onOrder("fatal", ({ event, fatal }) => {
      started.push(event.after.id);
      throw fatal("never");
    });
    let died = false;
    const dying = async (): Promise<never> => {
      died = true;
      return new Promise<never>(() => {});
    };
    const through = (bus: Bus): Bus =>
      overlaidBus(
        bus,
        last === "stored"
          ? { deadLetter: (...letter) => bus.deadLetter(...letter).then(dying) }
          : { record: (records) => bus.record(records).then(dying) },
      );
    const first = await startWorker({ url, automations: [fatal], ackWaitMs, through });
    await waitFor(() => died, { what: "the worker to get there" });
    await first.kill();
    await forgetful?.forgotten();
    await using _second = await startWorker({ url, automations: [fatal], ackWaitMs });
    await waitFor(async () => (await stream.open("fatal")) === 0, { what: "the end of the event" });

    expect(started).toEqual([1]);
    expect(await stream.deadLetters("fatal")).toHaveLength(1);
    expect(await outcomes(url, "fatal")).toEqual(["dead 1"]);
  },
);

test.skipIf(skip)("what stands in the log over restarts of the bus is told once", async () => {
  const nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  for (const id of [1, 2, 3]) await stream.order("created", { id, status: "new" });
  const mixed = onOrder("mixed", ({ event, skip, fatal }) => {
    if (event.after.id === 1) throw fatal("never");
    return event.after.id === 2 ? skip("nothing to do") : undefined;
  });
  const restarts = 3;
  let restarted = 0;
  let restarting: Promise<unknown> | undefined;
  // Once something was told, or seen to stand, the bus is killed before the ack.
  const killed = async <Result>(result: Result): Promise<Result> => {
    if (restarting === undefined && restarted < restarts) {
      restarted++;
      restarting = nats
        .restart()
        .then(() => waitFor(() => worker.bus.connected(), { what: "the worker to be connected" }))
        .finally(() => {
          restarting = undefined;
        });
    }
    await restarting;
    return result;
  };
  const through = (bus: Bus): Bus =>
    overlaidBus(bus, {
      record: async (some) => killed(await bus.record(some)),
      logLosses: async () => killed(await bus.logLosses()),
    });
  await using worker = await startWorker({ url: nats.url, automations: [mixed], ackWaitMs, through });
  await waitFor(async () => restarted === restarts && (await stream.open("mixed")) === 0, { what: "the acks" });

  expect([...(await outcomes(nats.url, "mixed"))].sort()).toEqual(["dead 1", "done 3", "skipped 2"]);
});

test.skipIf(skip)(
  "a record that the bus lost before the ack is told again, and the handler is not started again",
  async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    await stream.order("created", { id: 1, status: "new" });
    const started: number[] = [];
    const mail = onOrder("mail", ({ event }) => void started.push(event.after.id));
    const held = heldBehindRecord();
    await using worker = await startWorker({ url: nats.url, automations: [mail], ackWaitMs, through: held.through });
    await held.told;
    await loseStreams(nats, worker, ["MILLRACE_LOG"]);
    held.goOn();
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "the ack" });

    expect(started).toEqual([1]);
    expect(await outcomes(nats.url, "mail")).toEqual(["done 1"]);
  },
);

test.skipIf(skip)("a dead letter that the bus lost before the end of its event is stored again", async () => {
  const nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  await stream.order("created", { id: 1, status: "new" });
  const started: number[] = [];
  const fatal = onOrder("fatal", ({ event, fatal }) => {
    started.push(event.after.id);
    throw fatal("never");
  });
  const held = heldBehindRecord();
  await using worker = await startWorker({ url: nats.url, automations: [fatal], ackWaitMs, through: held.through });
  await held.told;
  await loseStreams(nats, worker, ["MILLRACE_LOG", "MILLRACE_DEAD"]);
  held.goOn();
  await waitFor(async () => (await stream.open("fatal")) === 0, { what: "the end of the event" });

  expect(started).toEqual([1]);
  expect(await stream.deadLetters("fatal")).toHaveLength(1);
  expect(await outcomes(nats.url, "fatal")).toEqual(["dead 1"]);
});

test.skipIf(skip)(
  "an event that has another one's number on a bus that lost everything is handled, not acked for that one",
  async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    await stream.order("created", { id: 1, status: "new" });
    const started: number[] = [];
    const mail = onOrder("mail", ({ event }) => void started.push(event.after.id));
    const held = heldBehindRecord();
    await using worker = await startWorker({ url: nats.url, automations: [mail], ackWaitMs, through: held.through });
    await held.told;
    await loseStreams(nats, worker, "all");
    await stream.make();
    await stream.order("created", { id: 2, status: "new" });
    held.goOn();
    await waitFor(() => started.length === 2, { what: "the other event" });
    await waitFor(async () => (await stream.open("mail")) === 0, { what: "its ack" });

    expect(started).toEqual([1, 2]);
    expect(await outcomes(nats.url, "mail")).toEqual(["done 1"]);
  },
);

test.skipIf(skip)(
  "what is told while the bus is away waits for it, and events of the outage are told once",
  async () => {
    const nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    let release = (): void => {};
    const busy = new Promise<void>((resolve) => {
      release = resolve;
    });
    const waiting = onOrder("waiting", () => busy);
    for (let id = 1; id <= 5; id++) await stream.order("created", { id, status: "new" });
    await using worker = await startWorker({ url: nats.url, automations: [waiting], ackWaitMs: 10_000 });
    await waitFor(() => worker.running.status()[0]?.running === 5, { what: "the handlers" });
    await nats.kill();
    await waitFor(() => !worker.bus.connected(), { what: "the worker to notice" });
    release();
    await nats.restart();
    await waitFor(async () => (await stream.open("waiting")) === 0, { what: "the acks" });

    expect(await outcomes(nats.url, "waiting")).toEqual([1, 2, 3, 4, 5].map((n) => `done ${n}`));
  },
);

test.skipIf(skip)("the stream of the event log is made again after somebody removed it", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  await using worker = await startWorker({ url, automations: [onOrder("mail", () => {})] });
  await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
  await (await jetstreamManager(stream.nc)).streams.delete("MILLRACE_LOG");
  await stream.order("created", { id: 1, status: "new" });
  await waitFor(async () => (await stream.open("mail")) === 0, { what: "the ack" });
  expect(await outcomes(url, "mail")).toEqual(["done 1"]);
});

test.skipIf(skip)("two workers tell each event once between them", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  await stream.orders(Array.from({ length: 400 }, (_, n) => ({ id: n + 1, status: "new" })));
  const picky = onOrder("picky", async ({ event, skip }) => {
    await new Promise((resolve) => setImmediate(resolve));
    return event.after.id % 7 === 0 ? skip("seventh") : undefined;
  });
  await using _first = await startWorker({ url, automations: [picky] });
  await using _second = await startWorker({ url, automations: [picky] });
  await waitFor(async () => (await stream.open("picky")) === 0, { what: "the acks" });

  const wanted = Array.from({ length: 400 }, (_, n) => `${(n + 1) % 7 === 0 ? "skipped" : "done"} ${n + 1}`);
  expect([...(await outcomes(url, "picky"))].sort()).toEqual(wanted.sort());
});
