// An automation with a schedule at work, on the bus in memory and in virtual time: what its handler gets, and a pause.

import { expect, onTestFinished, test } from "vitest";
import { automation } from "../../../../src/automation/define/automation.ts";
import { manual } from "../../../../src/automation/define/manual.ts";
import { schedule } from "../../../../src/automation/define/schedule.ts";
import { runAutomations } from "../../../../src/automation/run/run-automations.ts";
import { MemoryBus } from "../../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../../src/bus/memory/memory-server.ts";
import { controlKey } from "../../../../src/event/control.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { Counts } from "../../../support/automations.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

const MINUTE = 60_000;

test("a handler gets each time with its due time, from the first on; a pause holds the clock too", async () => {
  const clock = new VirtualClock(Date.parse("2026-01-01T00:05:00Z"));
  const server = new MemoryServer(clock);
  const handled: unknown[] = [];
  const on = schedule("every 10m", { catchUp: "none" });
  const ticking = automation("ticking", { on }, async ({ event: { id, type, time, data } }) => {
    handled.push({ id, type, time, data });
  });
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const workers = ["one", "other"].map(() => {
    const metrics = new Counts();
    const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
    const parts = { bus, clock, metrics, log: silentLogger, signal: stopping.signal };
    const running = runAutomations({ ...parts, automations: [ticking], logEvents: false, logErrors: "message" });
    return { metrics, running };
  });
  await clock.pass(6 * MINUTE);
  expect(handled).toEqual([
    {
      id: "schedule.ticking.2026-01-01T00:10:00.000Z",
      type: "_schedule.ticking.due",
      time: "2026-01-01T00:10:00.000Z",
      data: { schedule: "every 10m" },
    },
  ]);
  expect(workers[0]?.running.status()[0]).toMatchObject({ state: "running", nextDue: "2026-01-01T00:20:00.000Z" });
  expect(workers.map(({ metrics }) => metrics.counts["ticking.fired"] ?? 0).sort()).toEqual([0, 1]);

  const paused = { n: 1, paused: { by: "ops", at: "2026-01-01T00:11:00Z" } };
  const revision = await server.state.put(controlKey("ticking"), paused, 0);
  await clock.pass(20 * MINUTE);
  await server.state.put(controlKey("ticking"), { n: 2 }, revision ?? 0);
  await clock.pass(10 * MINUTE);
  expect(handled.map((one) => (one as { time: string }).time.slice(11, 16))).toEqual(["00:10", "00:40"]);
});

test("what can never be is refused where it is written", () => {
  const refused = expect.objectContaining({ name: "ConfigError", code: "AUTOMATION_INVALID" });
  const nothing = async (): Promise<void> => {};
  expect(() => schedule("0 0 32 1 *")).toThrow(refused);
  expect(() => schedule("0 3 * * *", { tz: "Mars/Olympus" })).toThrow(refused);
  expect(() => schedule("0 3 * * *", { catchUp: "some" as "all" })).toThrow(refused);
  expect(() => schedule("0 3 * * *", { zone: "UTC" } as never)).toThrow(refused);
  expect(() => automation("twice", { on: [schedule("every 5m"), schedule("every 7m")] }, nothing)).toThrow(refused);
  expect(() => automation("both", { on: [schedule("every 5m"), manual()] }, nothing)).not.toThrow();
});

test("one that never comes is a warning of the check, and no reason not to start", () => {
  const check = (when: string) => schedule(when).check({ automation: "it", outboxes: [] });
  expect(check("0 0 30 2 *")).toMatchObject([{ code: "AUTOMATION_NEVER_DUE" }]);
  expect(check("0 0 29 2 *")).toEqual([]);
});
