// What becomes of events whose handlers fail, hang, or miss what they need: on the bus in memory, in virtual time.

import { expect, onTestFinished, test } from "vitest";
import { type AutomationOptions, automation, type Handler } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import { durableName } from "../../../src/event/control.ts";
import type { Position } from "../../../src/event/position.ts";
import { type SourceId, streamName } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts } from "../../support/automations.ts";
import { messageMaker, ordersCreated } from "../../support/bus/encoded.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const shop = "shop" as SourceId;
const on = collection<{ id: number }>("shop", "public.orders").created();
const MINUTE_MS = 60_000;

function ground() {
  const clock = new VirtualClock();
  const server = new MemoryServer(clock);
  const make = messageMaker(shop);
  let stored = 0;
  const store = (): void => {
    const position = `000${++stored}+` as Position;
    const data = Buffer.from(
      JSON.stringify({ op: "created", key: { id: stored }, before: null, after: { id: stored } }),
    );
    const { subject, head } = make({ kind: ordersCreated, key: `${stored}`, transaction: `${stored}`, position, data });
    server.make(streamName(shop)).store(subject, `${head}Cdc-Pos: ${position}\r\n`, data);
  };
  const start = (handler: Handler, options: Partial<AutomationOptions<typeof on>> = {}) => {
    const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
    const stopping = new AbortController();
    const metrics = new Counts();
    const running = runAutomations({
      bus,
      automations: [automation("mail", { on, start: "earliest", ...options }, handler)],
      clock,
      log: silentLogger,
      logEvents: false,
      logErrors: "message",
      metrics,
      signal: stopping.signal,
    });
    onTestFinished(() => stopping.abort());
    const stop = async (withinMs = 5000): Promise<void> => {
      stopping.abort();
      await clock.pass(withinMs);
      await running.settled;
      await bus[Symbol.asyncDispose]();
    };
    const stoppedAt = running.settled.then(() => clock.now());
    return { counts: metrics.counts, status: () => running.status()[0], stop, stoppedAt };
  };
  const letters = (): unknown[] =>
    (server.streams.get("MILLRACE_DEAD")?.messages ?? []).map(({ data }) => JSON.parse(Buffer.from(data).toString()));
  return { clock, server, store, start, letters };
}

/** Notes when each attempt began, and which it was by the handler's own count. */
function notes(clock: VirtualClock) {
  const began: { readonly at: number; readonly attempt: number }[] = [];
  return { began, note: ({ attempt }: { attempt: number }) => began.push({ at: clock.now(), attempt }) };
}

const pauses = (began: readonly { readonly at: number }[]): number[] =>
  began.slice(1).map(({ at }, nth) => at - (began[nth]?.at ?? 0));

test("the waits between attempts double from min to max, and after the last one the event is dead", async () => {
  const { clock, store, start, letters } = ground();
  const { began, note } = notes(clock);
  store();
  const { counts } = start(
    (context) => {
      note(context);
      throw new Error("no");
    },
    { retry: { attempts: 5, min: "2s", max: "8s" } },
  );

  await clock.pass(10 * MINUTE_MS);

  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5]);
  for (const [nth, [least, most]] of [
    [2000, 4000],
    [4000, 8000],
    [4000, 8000],
    [4000, 8000],
  ].entries()) {
    expect(pauses(began)[nth]).toBeGreaterThanOrEqual(least ?? 0);
    expect(pauses(began)[nth]).toBeLessThanOrEqual(most ?? 0);
  }
  expect(letters()).toMatchObject([{ reason: "exhausted", attempts: 5, firstAt: "1970-01-01T00:00:00.000Z" }]);
  expect(counts).toMatchObject({ "mail.retried": 4, "mail.exhausted": 1 });
});

test("a handler that says when it is to be tried again is tried then", async () => {
  const { clock, store, start } = ground();
  const { began, note } = notes(clock);
  store();
  const { counts } = start((context) => {
    note(context);
    if (context.attempt === 1) throw context.retry({ after: "90s" });
  });

  await clock.pass(5 * MINUTE_MS);

  expect(pauses(began)).toEqual([90_000]);
  expect(counts).toMatchObject({ "mail.retried": 1, "mail.handled": 1 });
});

test("attempts are counted across workers", async () => {
  const { clock, store, start, letters } = ground();
  const { began, note } = notes(clock);
  const fail: Handler = (context) => {
    note(context);
    throw new Error("no");
  };
  const retry = { attempts: 3, min: "1m", max: "1m" } as const;
  store();
  for (let worker = 1; worker <= 4; worker++) {
    const { stop } = start(fail, { retry });
    await clock.pass(10_000);
    await stop();
    await clock.pass(MINUTE_MS);
  }

  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(letters()).toMatchObject([{ reason: "exhausted", attempts: 3 }]);
});

/** As a server does that is killed: the durable begins where it stood before the deliveries that it had not written down. */
const forgetDeliveries = (server: MemoryServer): unknown =>
  server.forgetOlder(streamName(shop), durableName("mail", { n: 1 }));

test("attempts are counted though the bus has forgotten that it handed the event out", async () => {
  const { clock, server, store, start, letters } = ground();
  const { began, note } = notes(clock);
  const fail: Handler = (context) => {
    note(context);
    throw new Error("no");
  };
  const retry = { attempts: 3, min: "1m", max: "1m" } as const;
  store();
  const first = start(fail, { retry });
  await clock.pass(10_000);
  await first.stop();
  forgetDeliveries(server);
  start(fail, { retry });
  await clock.pass(10 * MINUTE_MS);

  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(letters()).toMatchObject([{ reason: "exhausted", attempts: 3 }]);
});

test("a long retry waits as long as the newest run of its attempt says, where the bus has forgotten that the event had gone on", async () => {
  const { clock, server, store, start } = ground();
  const { began, note } = notes(clock);
  const handler: Handler = (context) => {
    note(context);
    if (context.attempt === 1) throw context.retry({ after: "5m" });
  };
  store();
  const first = start(handler);
  await clock.pass(MINUTE_MS);
  await first.stop();
  forgetDeliveries(server);
  const { counts } = start(handler);
  await clock.pass(20 * MINUTE_MS);

  expect(began.map(({ attempt }) => attempt)).toEqual([1, 1, 2]);
  expect(pauses(began)[1]).toBeGreaterThanOrEqual(5 * MINUTE_MS);
  expect(counts).toMatchObject({ "mail.handled": 1 });
});

test("no attempt begins beyond maxAge, counted from the first one", async () => {
  const { clock, store, start, letters } = ground();
  const { began, note } = notes(clock);
  clock.advance(MINUTE_MS);
  store();
  start(
    (context) => {
      note(context);
      throw new Error("no");
    },
    { retry: { attempts: 100, min: "2m", max: "2m", maxAge: "9m" } },
  );

  await clock.pass(60 * MINUTE_MS);

  expect(began.map(({ at }) => at / MINUTE_MS)).toEqual([1, 3, 5, 7, 9]);
  expect(letters()).toMatchObject([{ reason: "expired", attempts: 5 }]);
});

test("at its timeout a handler is told to end, and the event is not tried again before it has", async () => {
  const { clock, store, start } = ground();
  const { began, note } = notes(clock);
  const told: { readonly at: number; readonly code: unknown }[] = [];
  store();
  const { counts, status } = start(
    async (context) => {
      note(context);
      if (context.attempt > 1) return;
      context.signal.addEventListener("abort", () => {
        told.push({ at: clock.now(), code: (context.signal.reason as { code?: string }).code });
      });
      await clock.sleep(100_000); // whatever it is told
    },
    { timeout: "20s", retry: { min: "2s", max: "2s" } },
  );
  await clock.pass(19_000);
  const before = status();
  await clock.pass(11_000);
  const hangs = status();
  await clock.pass(5 * MINUTE_MS);

  expect([before, hangs]).toMatchObject([
    { running: 1, hanging: 0, runningMs: 19_000 },
    { running: 1, hanging: 1, runningMs: 0 },
  ]);
  expect(told).toEqual([{ at: 20_000, code: "AUTOMATION_TIMEOUT" }]);
  expect(began).toEqual([
    { at: 0, attempt: 1 },
    { at: 102_000, attempt: 2 },
  ]);
  expect(counts).toMatchObject({ "mail.retried": 1, "mail.handled": 1 });
});

test("a stop waits for a handler that goes on beyond its timeout, but for 5 s at most", async () => {
  const stopOf = async (lastsMs: number): Promise<number> => {
    const { clock, store, start } = ground();
    store();
    const { stop, stoppedAt } = start(() => clock.sleep(lastsMs), { timeout: "1s" });
    await clock.pass(1500);
    await stop(60_000);
    return stoppedAt;
  };

  expect(await stopOf(4000)).toBe(4000);
  expect(await stopOf(40_000)).toBe(6500);
});

test("a long handler keeps its event, though the bus would hand it out again after 30 s", async () => {
  const { clock, store, start } = ground();
  const { began, note } = notes(clock);
  store();
  const { counts } = start(
    async (context) => {
      note(context);
      await clock.sleep(4 * MINUTE_MS);
    },
    { timeout: "5m" },
  );

  await clock.pass(10 * MINUTE_MS);

  expect(began).toHaveLength(1);
  expect(counts["mail.handled"]).toBe(1);
});

test("what a handler needs and is away spends no attempt, however long it takes", async () => {
  const { clock, store, start, letters } = ground();
  const { began, note } = notes(clock);
  const [backAt, failure] = [20 * MINUTE_MS, new Error("no")];
  store();
  const { counts, status } = start(
    (context) => {
      note(context);
      if (clock.now() < backAt) throw context.retry({ after: "1m", unavailable: "the shop's mail server" });
      throw failure;
    },
    { retry: { attempts: 2, min: "2s", max: "2s" } },
  );
  await clock.pass(10 * MINUTE_MS);
  const away = status();
  await clock.pass(20 * MINUTE_MS);

  expect(away).toMatchObject({ state: "retrying", running: 0, held: 1 });
  expect(began.map(({ attempt }) => attempt)).toEqual([...Array.from({ length: 21 }, () => 1), 2]);
  expect(pauses(began).slice(0, 20)).toEqual(Array.from({ length: 20 }, () => MINUTE_MS));
  expect(letters()).toMatchObject([{ reason: "exhausted", attempts: 2 }]);
  expect([counts["mail.retried"], status()?.state]).toEqual([1, "running"]);
});

test("an event that grows too old while what it needs is away is dead, with the attempts that it had", async () => {
  const { clock, store, start, letters } = ground();
  store();
  start(
    ({ retry }) => {
      throw retry({ after: "1m", unavailable: "the shop's mail server" });
    },
    { retry: { attempts: 2, maxAge: "10m" } },
  );

  await clock.pass(60 * MINUTE_MS);

  expect(letters()).toMatchObject([{ reason: "expired", attempts: 0 }]);
});

test("an event in whose handler the process ended twice runs alone, and that it waits for others is told", async () => {
  const { clock, server, store, start } = ground();
  const order: string[] = [];
  const handler: Handler = async ({ event }) => {
    const { id } = event.after as { id: number };
    order.push(`begins ${id}`);
    await clock.sleep(MINUTE_MS);
    order.push(`ends ${id}`);
  };
  for (const _ of [1, 2, 3]) store();
  const first = start(handler, { timeout: "5m", concurrency: 1 });
  await clock.pass(1000);
  await first.stop(2 * MINUTE_MS); // gives 2 back, which it had in hand
  expect(order.splice(0)).toEqual(["begins 1", "ends 1"]);
  const twice = { id: "shop.0002", attempts: 0, firstAt: 0, unexplained: 2 };
  await server.state.put(`attempts.mail.${streamName(shop)}.2`, twice, 0);

  const { status } = start(handler, { timeout: "5m", concurrency: 3 });
  await clock.pass(40_000);
  store();
  const waits = status();
  await clock.pass(5 * MINUTE_MS);

  expect(order).toEqual(["begins 3", "ends 3", "begins 2", "ends 2", "begins 4", "ends 4"]);
  expect(waits).toMatchObject({ running: 1, settlingMs: 0, obstacle: { code: "AUTOMATION_WAITS_ALONE" } });
});

test("what an event waits for before its first attempt does not age it", async () => {
  const { clock, server, store, start, letters } = ground();
  const { began, note } = notes(clock);
  const handler: Handler = async (context) => {
    if ((context.event.after as { id: number }).id !== 2) return clock.sleep(MINUTE_MS);
    note(context);
    throw new Error("no");
  };
  for (const _ of [1, 2]) store();
  const suspect = { id: "shop.0002", attempts: 0, firstAt: 0, unexplained: 2 };
  const first = start(handler, { timeout: "5m", concurrency: 1 });
  await clock.pass(1000);
  await first.stop(2 * MINUTE_MS); // gives 2 back, which it had in hand
  await server.state.put(`attempts.mail.${streamName(shop)}.2`, suspect, 0);
  store();
  const long = start(handler, {
    timeout: "5m",
    concurrency: 3,
    retry: { attempts: 3, min: "2s", max: "8s", maxAge: "30s" },
  });
  await clock.pass(2 * MINUTE_MS);
  await long.stop(MINUTE_MS);

  expect(began[0]?.at).toBeGreaterThan(2 * MINUTE_MS);
  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(letters()).toMatchObject([{ reason: "exhausted", attempts: 3 }]);
});
