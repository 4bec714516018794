// Workers' tickers on the bus in memory, in virtual time: each due time once, through restarts, pauses and leaps of the clock.

import { expect, onTestFinished, test } from "vitest";
import { Ticker } from "../../../../src/automation/schedule/ticker.ts";
import { type CatchUp, timetableOf } from "../../../../src/automation/schedule/timetable.ts";
import type { Bus } from "../../../../src/bus/bus.ts";
import { MemoryBus } from "../../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../../src/bus/memory/memory-server.ts";
import type { Clock } from "../../../../src/clock.ts";
import { TransientError } from "../../../../src/errors.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { RecordedLog } from "../../../support/postgres/recorded-log.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

interface Starting {
  readonly when?: string;
  readonly tz?: string;
  readonly catchUp?: CatchUp;
  readonly through?: (bus: Bus) => Pick<Bus, "fire" | "newest" | "state">;
}

/** What workers share; all begins at a time, in UTC. */
function ground(began: string) {
  const clock = new VirtualClock(Date.parse(began));
  const server = new MemoryServer(clock);
  const log = new RecordedLog();
  const start = ({ when = "every 10m", tz, catchUp = "last", through = (bus) => bus }: Starting = {}) => {
    const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
    const stopping = new AbortController();
    onTestFinished(() => stopping.abort());
    let state: "runs" | "paused" | "unknown" = "runs";
    let skewMs = 0;
    const own: Clock = { now: () => clock.now(), wall: () => clock.wall() + skewMs, sleep: clock.sleep.bind(clock) };
    let fired = 0;
    const ticker = new Ticker({
      automation: "nightly",
      schedule: { timetable: timetableOf(when, tz, "it"), catchUp },
      bus: through(bus),
      clock: own,
      log,
      metrics: { fired: () => void fired++ },
      mayRun: () => state,
      denied: () => {},
      signal: stopping.signal,
    });
    const running = ticker.run();
    return {
      ticker,
      fired: () => fired,
      /** As a kill does: nothing that it does from now on comes to anything. */
      kill: async () => {
        await bus[Symbol.asyncDispose]();
        stopping.abort();
        await running;
      },
      be: (next: typeof state) => {
        state = next;
      },
      skew: (ms: number) => {
        skewMs = ms;
      },
    };
  };
  const due = (): readonly string[] =>
    (server.streams.get("MILLRACE_EVENTS")?.messages ?? []).map(
      ({ header }) => header("ce-time")?.replace(/:00\.000Z$/, "Z") ?? "",
    );
  const pass = (ms: number): Promise<void> => clock.pass(ms);
  return { clock, server, log, start, due, pass };
}

test("a first start fires nothing of the past, then each time as it comes", async () => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  const { ticker } = start({ catchUp: "all" });
  await pass(4 * MINUTE);
  expect([due(), ticker.next]).toEqual([[], Date.parse("2026-01-01T00:10:00Z")]);
  await pass(12 * MINUTE);
  expect(due()).toEqual(["2026-01-01T00:10Z", "2026-01-01T00:20Z"]);
});

test("of three workers one fires each time, whichever are killed between", async () => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  const workers = [start(), start(), start()];
  await pass(20 * MINUTE);
  await workers[0]?.kill();
  await pass(10 * MINUTE);
  await workers[1]?.kill();
  workers.push(start());
  await pass(20 * MINUTE);

  expect(due()).toEqual(["10", "20", "30", "40", "50"].map((minute) => `2026-01-01T00:${minute}Z`));
  expect(workers.reduce((sum, worker) => sum + worker.fired(), 0)).toBe(5);
});

test.each<[CatchUp, readonly string[]]>([
  ["none", []],
  ["last", ["00:40"]],
  ["all", ["00:20", "00:30", "00:40"]],
])("what was due while no worker ran is made up as %s says", async (catchUp, made) => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  const first = start({ catchUp });
  await pass(10 * MINUTE);
  await first.kill();
  await pass(30 * MINUTE);
  start({ catchUp });
  start({ catchUp });
  await pass(10 * MINUTE);

  const times = ["00:10", ...made, "00:50"].map((time) => `2026-01-01T${time}Z`);
  expect(due()).toEqual(times);
});

test.each<[CatchUp, readonly string[]]>([
  ["none", []],
  ["last", ["00:40"]],
  ["all", ["00:20", "00:30", "00:40"]],
])("what was due in a pause is made up after it as %s says, and not in it", async (catchUp, made) => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  const worker = start({ catchUp });
  await pass(10 * MINUTE);
  worker.be("paused");
  await pass(30 * MINUTE);
  expect(due()).toEqual(["2026-01-01T00:10Z"]);
  worker.be("runs");
  await pass(10 * MINUTE);

  expect(due().slice(1)).toEqual([...made, "00:50"].map((time) => `2026-01-01T${time}Z`));
});

test("while it is not known whether it may run nothing is fired, and soon after it is none was missed", async () => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  const worker = start({ catchUp: "none" });
  await pass(4 * MINUTE);
  worker.be("unknown");
  await pass(MINUTE + 30_000);
  expect(due()).toEqual([]);
  worker.be("runs");
  await pass(1000);
  expect(due()).toEqual(["2026-01-01T00:10Z"]);
});

test("both changes of a zone's clock are fired once, by two workers with a restart between", async () => {
  for (const [began, times] of [
    ["2026-03-29T00:00:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]],
    ["2026-10-25T00:00:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]],
  ] as const) {
    const { start, due, pass } = ground(began);
    const plan = { when: "30 2 * * *", tz: "Europe/Vienna", catchUp: "all" } as const;
    const [one, other] = [start(plan), start(plan)];
    await pass(35 * MINUTE); // into the hour that is left out, or comes twice
    await one.kill();
    start(plan);
    await pass(2 * HOUR);
    await other.kill();
    await pass(24 * HOUR);
    expect(due()).toEqual(times);
  }
});

test("a clock that is set back fires nothing twice, and one that is set forward misses as when no worker ran", async () => {
  const { start, due, pass, log } = ground("2026-01-01T00:05:00Z");
  const worker = start();
  await pass(10 * MINUTE);
  worker.skew(-HOUR);
  await pass(30 * MINUTE);
  expect(due()).toEqual(["2026-01-01T00:10Z"]);
  worker.skew(0);
  await pass(6000);
  expect(due().slice(1)).toEqual(["2026-01-01T00:40Z"]);
  worker.skew(3 * HOUR);
  await pass(6000);
  expect(due().slice(2)).toEqual(["2026-01-01T03:40Z"]);
  worker.skew(0);
  start();
  await pass(10 * MINUTE);
  expect([due().length, log.count("schedule_ahead")]).toEqual([3, 1]);
});

test("a plan that is new begins when it is seen first, also where an older one fired before", async () => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  const first = start({ when: "0 0 1 12 *" });
  await pass(HOUR);
  await first.kill();
  const second = start({ when: "0 5 * * *", catchUp: "all" });
  await pass(2 * HOUR);
  await second.kill();
  await pass(3 * HOUR);
  start({ when: "0 5 * * *", catchUp: "all" });
  await pass(HOUR);

  expect(due()).toEqual(["2026-01-01T05:00Z"]);
});

test("a schedule that comes once a year is not fired again when the stream has forgotten it", async () => {
  const { start, due, pass, server } = ground("2025-12-31T23:00:00Z");
  const plan = { when: "0 0 1 1 *", catchUp: "all" } as const;
  const first = start(plan);
  await pass(2 * HOUR);
  expect(due()).toEqual(["2026-01-01T00:00Z"]);
  await first.kill();
  server.streams.get("MILLRACE_EVENTS")?.remove(1);
  start(plan);
  await pass(HOUR);
  expect(due()).toEqual([]);
});

test("a record that was lost is made again by what the stream holds", async () => {
  const { start, due, pass, server } = ground("2026-01-01T00:05:00Z");
  const first = start({ catchUp: "all" });
  await pass(10 * MINUTE);
  await first.kill();
  await server.state.delete("schedule.nightly");
  await pass(20 * MINUTE);
  start({ catchUp: "all" });
  await pass(MINUTE);
  expect(due().slice(1)).toEqual(["2026-01-01T00:20Z", "2026-01-01T00:30Z"]);
});

test("an answer that is lost fires nothing twice, whether the event was stored or not", async () => {
  const { start, due, pass } = ground("2026-01-01T00:05:00Z");
  let calls = 0;
  const lossy = (bus: Bus): Pick<Bus, "fire" | "newest" | "state"> => ({
    state: bus.state,
    newest: (origin, aggregate) => bus.newest(origin, aggregate),
    fire: async (event, after) => {
      const stored = calls++ % 2 === 0 ? await bus.fire(event, after) : undefined;
      if (calls % 4 < 3) throw new TransientError("BUS_INTERRUPTED", "no acknowledgement");
      return stored ?? bus.fire(event, after);
    },
  });
  start({ through: lossy });
  start({ through: lossy });
  await pass(40 * MINUTE);

  expect(due()).toEqual(["10", "20", "30", "40"].map((minute) => `2026-01-01T00:${minute}Z`));
});

test("an outage of the bus of less than a minute misses nothing, whatever catchUp says", async () => {
  const { start, due, pass } = ground("2026-01-01T00:09:50Z");
  let down = false;
  const away = (bus: Bus): Pick<Bus, "fire" | "newest" | "state"> => ({
    state: bus.state,
    newest: (origin, aggregate) => bus.newest(origin, aggregate),
    fire: async (event, after) => {
      if (down) throw new TransientError("BUS_INTERRUPTED", "NATS is not connected");
      return bus.fire(event, after);
    },
  });
  start({ through: away, catchUp: "none" });
  await pass(5000);
  down = true;
  await pass(40_000);
  down = false;
  await pass(3000);
  expect(due()).toEqual(["2026-01-01T00:10Z"]);
});

test("the event's id is its due time's own, and its body says which schedule it is", async () => {
  const { start, pass, server } = ground("2026-01-01T00:05:00Z");
  start();
  await pass(6 * MINUTE);
  const [event] = server.streams.get("MILLRACE_EVENTS")?.messages ?? [];
  expect([
    event?.subject.replace(/p\d\d$/, ""),
    event?.header("ce-id"),
    Buffer.from(event?.data ?? []).toString(),
  ]).toEqual([
    "events._schedule.nightly.due.",
    "schedule.nightly.2026-01-01T00:10:00.000Z",
    '{"schedule":"every 10m"}',
  ]);
});
