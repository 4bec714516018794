// Retries that are too far off for the event's own stream, and replays: through MILLRACE_RETRY of the bus in memory, in virtual
// time.

import { expect, onTestFinished, test } from "vitest";
import { type AutomationOptions, automation, type Handler } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import type { Bus } from "../../../src/bus/bus.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import { CONTROL_PREFIX, controlKey, OBEY_MS } from "../../../src/event/control.ts";
import type { Position } from "../../../src/event/position.ts";
import { retryId, type SourceId, streamName } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts } from "../../support/automations.ts";
import { messageMaker, ordersCreated } from "../../support/bus/encoded.ts";
import { overlaid, overlaidBus } from "../../support/bus/overlaid-bus.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const shop = "shop" as SourceId;
const on = collection<{ id: number }>("shop", "public.orders").created();
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

interface Starting extends Partial<AutomationOptions<typeof on>> {
  readonly id?: string;
  /** Puts something between the automation and the bus. */
  readonly through?: (bus: Bus) => Bus;
}

function ground() {
  const clock = new VirtualClock();
  const server = new MemoryServer(clock);
  const make = messageMaker(shop);
  const stream = (source: SourceId) => server.make(streamName(source));
  let stored = 0;
  const store = (text = ""): void => {
    const position = `000${++stored}+` as Position;
    const after = { id: stored, text };
    const data = Buffer.from(JSON.stringify({ op: "created", key: { id: stored }, before: null, after }));
    const { subject, head } = make({ kind: ordersCreated, key: `${stored}`, transaction: `${stored}`, position, data });
    stream(shop).store(subject, `${head}Cdc-Pos: ${position}\r\n`, data);
  };
  const start = (handler: Handler, { id = "mail", through = (bus) => bus, ...options }: Starting = {}) => {
    const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
    const stopping = new AbortController();
    const metrics = new Counts();
    const running = runAutomations({
      bus: through(bus),
      automations: [automation(id, { on, start: "earliest", ...options }, handler)],
      clock,
      log: silentLogger,
      logEvents: false,
      logErrors: "message",
      metrics,
      signal: stopping.signal,
    });
    onTestFinished(() => stopping.abort());
    const stop = async (): Promise<void> => {
      stopping.abort();
      await clock.pass(5000);
      await running.settled;
      await bus[Symbol.asyncDispose]();
    };
    const kill = async (): Promise<void> => {
      await bus[Symbol.asyncDispose]();
      stopping.abort();
    };
    return { bus, counts: metrics.counts, depth: () => running.depth(id), stop, kill };
  };
  const bodies = (name: string) =>
    (server.streams.get(name)?.messages ?? []).map(({ subject, data }) => {
      const body = JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>;
      return { subject, ...body };
    });
  return {
    clock,
    server,
    store,
    start,
    waiting: () => stream(retryId).messages,
    letters: () => bodies("MILLRACE_DEAD"),
    outcomes: (): readonly Record<string, unknown>[] => bodies("MILLRACE_LOG"),
    /** What the state bucket remembers of events. */
    remembered: () => server.state.keys("attempts."),
  };
}

/** Notes when each attempt began, and which it was by the handler's own count. */
function notes(clock: VirtualClock) {
  const began: { readonly at: number; readonly attempt: number; readonly id: unknown; readonly run: unknown }[] = [];
  const note: Handler = ({ attempt, event, run }) =>
    void began.push({ at: clock.now(), attempt, id: (event.after as { id?: unknown } | null)?.id, run });
  return { began, note };
}

/** As the handler's process would, were it killed once the bus had stored what waits. */
const diesWhenStored =
  (stored: () => void) =>
  (bus: Bus): Bus =>
    new Proxy(bus, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown;
        if (name !== "later") return typeof value === "function" ? value.bind(target) : value;
        return async (...message: Parameters<Bus["later"]>) => {
          await target.later(...message);
          stored();
          await new Promise<never>(() => {});
        };
      },
    });

test("a retry of an hour holds nothing of the event's own durable, and begins when it is due, as the next attempt", async () => {
  const { clock, store, start, waiting, remembered, outcomes } = ground();
  const { began, note } = notes(clock);
  store();
  store();
  const { counts, depth } = start(
    (context) => {
      void note(context);
      if (context.event.after?.id === 1 && context.attempt === 1) throw context.retry({ after: "1h" });
    },
    { concurrency: 1 },
  );
  await clock.pass(MINUTE_MS);
  expect(waiting()).toHaveLength(1);
  expect(await depth()).toEqual({ pending: 0, unacked: 0, later: 1 });
  expect(await remembered()).toEqual([]);
  await clock.pass(HOUR_MS + MINUTE_MS);

  expect(began.map(({ id, attempt }) => [id, attempt])).toEqual([
    [1, 1],
    [2, 1],
    [1, 2],
  ]);
  expect((began[2]?.at ?? 0) - (began[0]?.at ?? 0)).toBe(HOUR_MS);
  expect(counts).toMatchObject({ "mail.retried": 1, "mail.handled": 2 });
  expect(waiting()).toEqual([]);
  expect(await depth()).toEqual({ pending: 0, unacked: 0, later: 0 });
  expect(await remembered()).toEqual([]);
  expect(outcomes().filter(({ subject }) => subject === "log.mail.retried")).toMatchObject([
    { stream: "CDC_SHOP", sequence: 1, attempt: 1, delayMs: HOUR_MS },
  ]);
  expect(outcomes().filter(({ subject }) => subject === "log.mail.done")).toMatchObject([
    { stream: "CDC_SHOP", ranges: [[2, 2]] },
    { stream: "CDC_SHOP", ranges: [[1, 1]] },
  ]);
});

test("a retry of two minutes stays where it is, and one that is longer by the policy does not", async () => {
  const { clock, store, start, waiting } = ground();
  store();
  const { depth } = start(
    ({ attempt, retry }) => {
      if (attempt === 1) throw retry({ after: "2m" });
      throw new Error("no");
    },
    { retry: { attempts: 3, min: "3m", max: "4m", maxAge: "24h" } },
  );
  await clock.pass(MINUTE_MS);
  expect(await depth()).toEqual({ pending: 0, unacked: 1, later: 0 });
  await clock.pass(2 * MINUTE_MS);

  expect(waiting()).toHaveLength(1);
  expect(await depth()).toEqual({ pending: 0, unacked: 0, later: 1 });
});

test("attempts, maxAge from the first of them, and the dead letter are those of the event where it stands", async () => {
  const { clock, store, start, letters, waiting, remembered } = ground();
  const { began, note } = notes(clock);
  store();
  const fail: Handler = (context) => {
    void note(context);
    throw new Error(`no ${context.attempt}`);
  };
  start(fail, { retry: { attempts: 4, min: "10m", max: "10m", maxAge: "24h" } });
  start(fail, { id: "short", retry: { attempts: 40, min: "10m", max: "10m", maxAge: "25m" } });
  await clock.pass(2 * HOUR_MS);

  const all = began.map(({ attempt }) => attempt).sort();
  expect(all.filter((attempt) => attempt === 4)).toHaveLength(1);
  const event = { stream: "CDC_SHOP", sequence: 1, subject: expect.stringContaining("cdc.shop.public.orders.created") };
  const found = letters();
  expect(found).toHaveLength(2);
  expect(found).toContainEqual(
    expect.objectContaining({
      subject: "dead.mail",
      reason: "exhausted",
      attempts: 4,
      firstAt: "1970-01-01T00:00:00.000Z",
      error: expect.objectContaining({ message: "no 4" }),
      event: expect.objectContaining({ ...event, data: expect.stringContaining('"op":"created"') }),
    }),
  );
  expect(found).toContainEqual(
    expect.objectContaining({ subject: "dead.short", reason: "expired", event: expect.objectContaining(event) }),
  );
  for (const { event } of found as unknown as { event: { headers: Record<string, string> } }[]) {
    expect(Object.keys(event.headers)).toContain("ce-id");
    expect(Object.keys(event.headers).filter((name) => /retry/i.test(name))).toEqual([]);
  }
  expect(waiting()).toEqual([]);
  expect(await remembered()).toEqual([]);
});

test("one whose worker was away when it became due, and too old meanwhile, is expired with what it failed by", async () => {
  const { clock, store, start, letters } = ground();
  store();
  const first = start(
    (context) => {
      throw context.retry({ after: "10m" });
    },
    { retry: { maxAge: "1h" } },
  );
  await clock.pass(MINUTE_MS);
  await first.stop();
  await clock.pass(2 * HOUR_MS);
  const { began, note } = notes(clock);
  start(note, { retry: { maxAge: "1h" } });
  await clock.pass(MINUTE_MS);

  expect(began).toEqual([]);
  expect(letters()).toMatchObject([{ reason: "expired", attempts: 1, error: { name: "Retry" } }]);
});

test("killed between the bus' acknowledgement and the ack, the event waits once and is tried when it is due", async () => {
  const { clock, store, start, waiting, remembered } = ground();
  const { began, note } = notes(clock);
  const later: Handler = (context) => {
    void note(context);
    if (context.attempt === 1) throw context.retry({ after: "10m" });
  };
  store();
  let stored = false;
  const first = start(later, { through: diesWhenStored(() => (stored = true)) });
  await clock.pass(MINUTE_MS);
  expect(stored).toBe(true);
  await first.kill();
  const { counts, depth } = start(later);
  await clock.pass(3 * MINUTE_MS);
  expect(waiting()).toHaveLength(1);
  expect(await depth()).toEqual({ pending: 0, unacked: 0, later: 1 });
  expect(began).toHaveLength(1);
  await clock.pass(10 * MINUTE_MS);

  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2]);
  expect((began[1]?.at ?? 0) - (began[0]?.at ?? 0)).toBeGreaterThanOrEqual(10 * MINUTE_MS);
  expect(counts).toMatchObject({ "mail.handled": 1 });
  expect(await remembered()).toEqual([]);
});

test("one in hand when its worker is killed is another's, with the attempts that came along", async () => {
  const { clock, store, start, waiting } = ground();
  store();
  const first = start(async (context) => {
    if (context.attempt === 1) throw context.retry({ after: "10m" });
    await new Promise<never>(() => {});
  });
  await clock.pass(10 * MINUTE_MS + 1000);
  expect(waiting()).toHaveLength(1);
  await first.kill();
  const { began, note } = notes(clock);
  start(note);
  await clock.pass(2 * MINUTE_MS);

  expect(began.map(({ attempt }) => attempt)).toEqual([2]);
  expect(waiting()).toEqual([]);
});

test("a replay reaches its automation alone, in a run of its own, and what it comes to is told with that run", async () => {
  const { clock, store, start, outcomes, letters, remembered } = ground();
  const [mail, other] = [notes(clock), notes(clock)];
  store();
  const { bus } = start((context) => {
    void mail.note(context);
    if (context.run === "r3") throw context.fatal("not again");
    if (context.run === "r2" && context.attempt === 1) throw context.retry({ after: "1h" });
  });
  start(other.note, { id: "other" });
  await clock.pass(MINUTE_MS);
  const message = await bus.read(shop, 1);
  const { subject = "", data = new Uint8Array() } = message ?? {};
  const replay = { automation: "mail", stream: "CDC_SHOP", sequence: 1, subject, headers: message?.headers?.() ?? {} };
  for (const run of ["r1", "r2", "r3"]) await bus.later({ ...replay, data, run, attempts: 0, dueAt: clock.wall() });
  await clock.pass(2 * HOUR_MS);

  expect(mail.began.map(({ run, attempt, id }) => [run, attempt, id])).toEqual([
    [undefined, 1, 1],
    ["r1", 1, 1],
    ["r2", 1, 1],
    ["r3", 1, 1],
    ["r2", 2, 1],
  ]);
  expect(other.began).toHaveLength(1);
  const its = outcomes().filter(({ subject: at }) => String(at).startsWith("log.mail."));
  // Of events that end at the same time the order is not told.
  expect(its.map(({ subject: at, run }) => `${String(at).slice(9)} ${String(run)}`).sort()).toEqual([
    "dead r3",
    "done r1",
    "done r2",
    "done undefined",
    "retried r2",
  ]);
  expect(letters()).toMatchObject([{ run: "r3", reason: "fatal", attempts: 1, event: { sequence: 1 } }]);
  expect(await remembered()).toEqual([]);
});

test("a body too large to wait with its event is read where that stands; gone from there, it is a dead letter", async () => {
  const { clock, server, store, start, letters, waiting } = ground();
  const { began, note } = notes(clock);
  const large = "x".repeat(1024 * 1024 - 800);
  store(large);
  store(large);
  start((context) => {
    void note(context);
    if (context.attempt === 1) throw context.retry({ after: "1h" });
    if ((context.event.after as unknown as { text: string }).text !== large) throw context.fatal("another body");
  });
  await clock.pass(MINUTE_MS);
  expect(waiting().map(({ data }) => data.length)).toEqual([0, 0]);
  server.streams.get("CDC_SHOP")?.remove(2);
  await clock.pass(2 * HOUR_MS);

  expect(began.map(({ id, attempt }) => [id, attempt])).toEqual([
    [1, 1],
    [2, 1],
    [1, 2],
  ]);
  expect(letters()).toMatchObject([
    { reason: "undecodable", attempts: 1, error: { code: "EVENT_EVICTED" }, event: { sequence: 2, dataBytes: 0 } },
  ]);
});

test("what something else stored in MILLRACE_RETRY is a dead letter, and no handler is started", async () => {
  const { clock, server, start, letters } = ground();
  const { began, note } = notes(clock);
  start(note);
  await clock.pass(1000);
  server.make("MILLRACE_RETRY").store("retry.mail", "ce-id: 1\r\n", Buffer.from("hello"));
  await clock.pass(MINUTE_MS);

  expect(began).toEqual([]);
  expect(letters()).toMatchObject([{ reason: "undecodable", event: { stream: "MILLRACE_RETRY", data: "hello" } }]);
});

/** A bus whose look for what people ask is answered once `until` says so. */
function slowlySteered(clock: VirtualClock, until: () => number) {
  return (bus: Bus): Bus =>
    overlaidBus(bus, {
      state: overlaid(bus.state, {
        keys: async (prefix) => {
          if (prefix === CONTROL_PREFIX) await clock.sleep(Math.max(0, until() - clock.now()));
          return bus.state.keys(prefix);
        },
      }),
    });
}

test("a long retry behind a seek waits where a worker that has not heard of that seek is handed it", async () => {
  const { clock, server, store, start, waiting, letters } = ground();
  const { began, note } = notes(clock);
  let until = 0;
  start((context) => {
    void note(context);
    if (context.attempt === 1) throw context.retry({ after: "5m" });
  });
  start(() => {}, { through: slowlySteered(clock, () => until) });
  await clock.pass(20_000);
  until = clock.now() + MINUTE_MS;
  await clock.pass(OBEY_MS);
  const seek = { n: 1, to: "earliest", by: "a test", at: "2026-01-01T00:00:00Z", starts: { CDC_SHOP: 1 } };
  await server.state.put(controlKey("mail"), { n: 1, seek }, 0);
  await clock.pass(2000);
  store();
  await clock.pass(MINUTE_MS / 2);
  expect(began).toMatchObject([{ attempt: 1, run: "seek-1" }]);
  expect(waiting()).toHaveLength(1);
  await clock.pass(6 * MINUTE_MS);

  expect(waiting()).toEqual([]);
  expect(letters()).toEqual([]);
  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2]);
});

test("an event that was given back before it could begin is handled when it comes once more in the same turn", async () => {
  const { clock, store, start, outcomes } = ground();
  const { began, note } = notes(clock);
  let until = 0;
  const slow = slowlySteered(clock, () => until);
  start(
    (context) => {
      void note(context);
      if (context.attempt === 1) throw context.retry({ after: "10s" });
    },
    {
      // That it begins again takes so long to note that nobody knows any more whether it may.
      through: (bus) =>
        overlaidBus(slow(bus), {
          state: overlaid(slow(bus).state, {
            put: async (...entry) => {
              const { unexplained } = entry[1] as { readonly unexplained?: number };
              if (unexplained !== undefined && until === 0) {
                until = clock.now() + 2 * OBEY_MS;
                await clock.sleep(2 * OBEY_MS - 10);
              }
              return bus.state.put(...entry);
            },
          }),
        }),
    },
  );
  store();
  await clock.pass(2 * MINUTE_MS);

  expect(began.map(({ attempt }) => attempt)).toEqual([1, 2]);
  expect(outcomes().map(({ subject }) => subject)).toEqual(["log.mail.retried", "log.mail.done"]);
});
