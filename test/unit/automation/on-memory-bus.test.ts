// Automations on the bus in memory: the same code that runs on JetStream, without a server and in virtual time.

import { expect, test } from "vitest";
import type { Automation } from "../../../src/automation/define/automation.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { Clock } from "../../../src/clock.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts, onOrder } from "../../support/automations.ts";
import { transaction } from "../../support/postgres/transactions.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { waitFor } from "../../support/wait-for.ts";

const source = "shop" as SourceId;
const open = (server: MemoryServer, clock: Clock) =>
  new MemoryBus({ server, clock, fsync: "always", log: silentLogger });

/** A worker on a bus of its own; `kill` leaves what it has in hand to others. */
function startWorker(server: MemoryServer, clock: Clock, automations: readonly Automation[]) {
  const stopping = new AbortController();
  const bus = open(server, clock);
  const metrics = new Counts();
  const lines: string[] = [];
  const note = (event: string): void => void lines.push(event);
  const { settled } = runAutomations({
    bus,
    clock,
    automations,
    log: { ...silentLogger, warn: note },
    metrics,
    logEvents: false,
    logErrors: "message",
    ackWaitMs: 30_000,
    signal: stopping.signal,
  });
  return {
    metrics,
    lines,
    kill: () => bus[Symbol.asyncDispose](),
    stop: async () => {
      stopping.abort();
      await settled;
      await bus[Symbol.asyncDispose]();
    },
  };
}

test("an event is handled, retried, or a dead letter in the end, and what a killed worker had in hand is another's", async () => {
  const time = new VirtualTime();
  const { clock } = time;
  const until = (look: () => boolean, what: string) => time.when(waitFor(look, { what, clock, timeoutMs: 120_000 }));
  const server = new MemoryServer(clock);
  await using writer = await open(server, clock).stream(source).openWriter(new AbortController().signal);
  await writer.write([10, 20, 30].flatMap((final) => transaction(source, final)));
  const seen: string[] = [];
  const mail = onOrder("mail", async ({ event, attempt, fatal }) => {
    const { id } = event.after as unknown as { readonly id: string };
    seen.push(`${id} ${attempt}`);
    if (id === "20-0") throw fatal("never");
    if (id === "30-0" && attempt === 1) throw new Error("not yet");
  });
  const stuck = onOrder("mail", () => new Promise<never>(() => {}), { concurrency: 3 });
  const killed = startWorker(server, clock, [stuck]);
  await until(() => killed.metrics.peak === 3, "all to be in hand");
  await killed.kill();
  const worker = startWorker(server, clock, [mail]);
  await until(() => worker.metrics.counts["mail.handled"] === 2, "two events to be handled");
  await until(() => worker.metrics.counts["mail.fatal"] === 1, "the dead letter");
  await time.when(worker.stop());

  expect(seen.map((one) => one.split(" ")[0]).sort()).toEqual(["10-0", "20-0", "30-0", "30-0"]);
  const letters = server.streams.get("MILLRACE_DEAD")?.messages ?? [];
  expect(letters.map(({ subject, data }) => [subject, JSON.parse(Buffer.from(data).toString()).reason])).toEqual([
    ["dead.mail", "fatal"],
  ]);
});

test("an event whose handler waits holds up neither the record nor the acks of those that end at once", async () => {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new MemoryServer(clock);
  await using writer = await open(server, clock).stream(source).openWriter(new AbortController().signal);
  await writer.write([10, 20, 30, 40].flatMap((final) => transaction(source, final)));
  let go = (): void => {};
  const waits = new Promise<void>((resolve) => {
    go = resolve;
  });
  const mail = onOrder(
    "mail",
    ({ event }) => ((event.after as unknown as { readonly id: string }).id === "20-0" ? waits : undefined),
    { timeout: "1h" },
  );
  const worker = startWorker(server, clock, [mail]);
  const handled = (count: number) =>
    time.when(waitFor(() => worker.metrics.counts["mail.handled"] === count, { what: `${count} events`, clock }));
  const told = () =>
    (server.streams.get("MILLRACE_LOG")?.messages ?? [])
      .map(({ data }) => JSON.parse(Buffer.from(data).toString()) as { readonly count: number })
      .reduce((sum, { count }) => sum + count, 0);
  await handled(3);
  expect(told()).toBe(3);
  go();
  await handled(4);
  expect(told()).toBe(4);
  await time.when(worker.stop());
});

test("what where leaves out ends as filtered, and no handler is started for it", async () => {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new MemoryServer(clock);
  await using writer = await open(server, clock).stream(source).openWriter(new AbortController().signal);
  await writer.write([10, 20, 30].flatMap((final) => transaction(source, final)));
  const seen: unknown[] = [];
  const where = { after: { id: [{ prefix: "2" }] } } as never;
  const picky = onOrder("picky", ({ event }) => void seen.push(event.after), { where });
  const worker = startWorker(server, clock, [picky]);
  const counted = () => (worker.metrics.counts["picky.handled"] ?? 0) + (worker.metrics.counts["picky.filtered"] ?? 0);
  await time.when(waitFor(() => counted() === 3, { what: "all events", clock, timeoutMs: 120_000 }));
  await time.when(worker.stop());

  expect(seen).toEqual([expect.objectContaining({ id: "20-0" })]);
  expect(worker.metrics.counts).toEqual({ "picky.handled": 1, "picky.attempts": 1, "picky.filtered": 2 });
});

test("what filter leaves out ends as filtered, and what it throws at is tried again and dead in the end", async () => {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new MemoryServer(clock);
  await using writer = await open(server, clock).stream(source).openWriter(new AbortController().signal);
  await writer.write([10, 20, 30].flatMap((final) => transaction(source, final)));
  const seen: unknown[] = [];
  const picky = onOrder("picky", ({ event }) => void seen.push(event.after), {
    retry: { attempts: 2, min: 20, max: 50 },
    filter: ({ event }) => {
      const { id } = event.after as unknown as { readonly id: string };
      if (id === "30-0") throw new Error("cannot say");
      return id === "20-0";
    },
  });
  const worker = startWorker(server, clock, [picky]);
  await time.when(
    waitFor(() => worker.metrics.counts["picky.exhausted"] === 1 && worker.metrics.counts["picky.handled"] === 1, {
      what: "all events",
      clock,
      timeoutMs: 120_000,
    }),
  );
  await time.when(worker.stop());

  expect(seen).toEqual([expect.objectContaining({ id: "20-0" })]);
  expect(worker.metrics.counts).toMatchObject({
    ...{ "picky.handled": 1, "picky.filtered": 1, "picky.retried": 1, "picky.exhausted": 1 },
  });
});

test("retryable decides which errors are tried again, one that cannot say counts as yes and is told once, and retry is not asked", async () => {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new MemoryServer(clock);
  await using writer = await open(server, clock).stream(source).openWriter(new AbortController().signal);
  await writer.write([10, 20, 30, 40].flatMap((final) => transaction(source, final)));
  const asked: string[] = [];
  const picky = onOrder(
    "picky",
    ({ event, attempt, retry }) => {
      const { id } = event.after as unknown as { readonly id: string };
      if (id === "40-0" && attempt === 1) throw retry({ after: 20 });
      if (id !== "40-0") throw new Error(id);
    },
    {
      retry: { attempts: 2, min: 20, max: 50 },
      retryable: (error) => {
        const { message } = error as Error;
        asked.push(message);
        if (message === "30-0") throw new Error("cannot say");
        return message === "20-0";
      },
    },
  );
  const worker = startWorker(server, clock, [picky]);
  const { counts } = worker.metrics;
  const done = () => counts["picky.fatal"] === 1 && counts["picky.exhausted"] === 2 && counts["picky.handled"] === 1;
  await time.when(waitFor(done, { what: "all events", clock, timeoutMs: 120_000 }));
  await time.when(worker.stop());

  expect(asked.sort()).toEqual(["10-0", "20-0", "20-0", "30-0", "30-0"]);
  expect(counts).toMatchObject({ "picky.retried": 3 });
  expect(worker.lines.filter((line) => line === "automation_retryable_failed")).toHaveLength(1);
});

test("an event that is older than maxAge from its commit starts no handler, and is a dead letter as expired", async () => {
  const time = new VirtualTime();
  // A second and a half behind the commit of the event.
  const wall = (): number => Date.parse("2026-01-01T00:00:01.500Z");
  const clock: Clock = { now: () => time.clock.now(), wall, sleep: (ms, signal) => time.clock.sleep(ms, signal) };
  const server = new MemoryServer(clock);
  await using writer = await open(server, clock).stream(source).openWriter(new AbortController().signal);
  await writer.write(transaction(source, 10));
  const seen: unknown[] = [];
  const late = onOrder("late", ({ event }) => void seen.push(event.id), {
    retry: { maxAge: 1000, maxAgeFrom: "commit" },
  });
  const worker = startWorker(server, clock, [late]);
  await time.when(
    waitFor(() => worker.metrics.counts["late.expired"] === 1, { what: "the dead letter", clock, timeoutMs: 120_000 }),
  );
  await time.when(worker.stop());

  expect(seen).toEqual([]);
});
