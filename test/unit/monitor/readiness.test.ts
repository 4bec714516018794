// What /readyz says for each thing that may be wrong.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import type { SourceId } from "../../../src/event/source-id.ts";
import { withReadiness } from "../../../src/monitor/readiness.ts";
import type { AutomationReport, GuardStatus, Report, SourceReport } from "../../../src/monitor/status.ts";
import { streamMetrics } from "../../../src/source/dynamodb/retention/stream-metrics.ts";
import { oplogMetrics } from "../../../src/source/mongodb/oplog/oplog-metrics.ts";
import { slotMetrics } from "../../../src/source/postgres/slot/slot-metrics.ts";
import type { RetentionMetric } from "../../../src/source/retention.ts";

const source: SourceReport = {
  id: "shop",
  kind: "postgres",
  state: "running",
  heldForFsync: { marks: 0, oldestMs: 0 },
  stalledMs: 0,
  unsavedMs: 0,
  notices: [],
  read: 0,
  published: 0,
  saved: 0,
  acknowledged: 0,
  poison: 0,
};
const automation: AutomationReport = {
  id: "mail",
  state: "running",
  handled: 0,
  skipped: 0,
  retried: 0,
  dead: 0,
  running: 0,
  hanging: 0,
  runningMs: 0,
  timeoutMs: 30_000,
  settlingMs: 0,
  gaps: 0,
  deadBy: {},
  uncaught: 0,
};
const bus: Report["bus"] = { connected: true, fsync: 120_000 };

function view(parts: Partial<Pick<Report, "bus" | "sources" | "automations">>): Record<string, unknown> {
  const status = withReadiness({ version: "0", startedAt: "", bus, sources: [], automations: [], ...parts });
  return Object.fromEntries(status.parts.map(({ id, ready, code, reason }) => [id, [ready, code, reason]]));
}
const shop = (parts: Partial<SourceReport>, fsync: Report["bus"]["fsync"] = 120_000): unknown =>
  view({ bus: { connected: true, fsync }, sources: [{ ...source, ...parts }] }).shop;
const mail = (parts: Partial<AutomationReport>): unknown => view({ automations: [{ ...automation, ...parts }] }).mail;

test("a running source and automation are ready", () => {
  expect(view({ sources: [source], automations: [automation] })).toEqual({
    nats: [true, undefined, "connected"],
    shop: [true, undefined, "running"],
    mail: [true, undefined, "running"],
  });
});

test("a source that another worker reads is ready, and says that this worker stands by", () => {
  const reason = { code: "LEASE_ELSEWHERE", message: "another worker reads this source (lease 7)" };

  expect(shop({ state: "waiting-for-lease", reason })).toEqual([
    true,
    "LEASE_ELSEWHERE",
    "waiting-for-lease: LEASE_ELSEWHERE: another worker reads this source (lease 7)",
  ]);
});

test("what starts, tries again or has stopped is not ready, and says why", () => {
  const reason = { code: "SLOT_ACTIVE", message: "read by 4711" };

  expect(shop({ state: "starting" })).toEqual([false, undefined, "starting"]);
  expect(shop({ state: "retrying", reason })).toEqual([false, "SLOT_ACTIVE", "retrying: SLOT_ACTIVE: read by 4711"]);
  expect(mail({ state: "stopped", reason })).toEqual([false, "SLOT_ACTIVE", "stopped: SLOT_ACTIVE: read by 4711"]);
});

test("a bus that is away, one that takes nothing and one that says why are told apart", () => {
  const stalledBy = { code: "STREAM_FULL", message: "the stream CDC_SHOP takes nothing more" };
  const away = view({ bus: { ...bus, connected: false }, sources: [{ ...source, stalledMs: 20_000 }] });

  expect(away.nats).toEqual([false, "BUS_DISCONNECTED", "not connected"]);
  expect(away.shop).toEqual([
    false,
    "BUS_DISCONNECTED",
    "running: BUS_DISCONNECTED: the bus is not connected; nothing could be stored for 20 s",
  ]);
  expect(shop({ stalledMs: 20_000 })).toEqual([
    false,
    "BUS_STALLED",
    "running: BUS_STALLED: nothing could be stored for 20 s",
  ]);
  expect(shop({ stalledMs: 20_000, stalledBy })).toEqual([
    false,
    "STREAM_FULL",
    "running: STREAM_FULL: the stream CDC_SHOP takes nothing more; nothing could be stored for 20 s",
  ]);
  expect(shop({ stalledMs: 14_000, stalledBy })).toEqual([true, undefined, "running"]);
});

test("checkpoints that cannot be saved are a fault of their own: the slot grows", () => {
  expect(shop({ unsavedMs: 20_000 })).toEqual([
    false,
    "CHECKPOINT_UNSAVED",
    "running: CHECKPOINT_UNSAVED: the bus has taken no checkpoint for 20 s: the database cannot drop its log",
  ]);
});

test("waiting for the bus's fsync is a fault only when it takes longer than the bus may, and not worth a word before", () => {
  const held = (oldestMs: number): Partial<SourceReport> => ({ heldForFsync: { marks: 3, oldestMs } });

  expect(shop(held(20_000))).toEqual([true, undefined, "running"]);
  expect(shop(held(299_000))).toEqual([true, undefined, "running"]);
  expect(shop(held(301_000))).toMatchObject([false, "FSYNC_OVERDUE", expect.stringContaining("301 s")]);
  expect(shop(held(31_000), "always")).toMatchObject([false, "FSYNC_OVERDUE", expect.anything()]);
});

test("rows of some tables that went without an event are said for an hour, and not as a gap of the log", () => {
  const tableGap = { code: "PARTITION_DETACHED", collections: ["public.events"], agoMs: 60_000 };

  expect(shop({ tableGap })).toEqual([
    true,
    "TABLE_GAP",
    "running: TABLE_GAP: PARTITION_DETACHED 60 s ago: rows of public.events came or went without an event (docs/connectors/postgres.md)",
  ]);
  expect(shop({ tableGap: { ...tableGap, agoMs: 3_600_001 } })).toEqual([true, undefined, "running"]);
});

test("an automation that is paused, or waits for one event to be tried alone, says so and is ready", () => {
  for (const code of ["AUTOMATION_PAUSED", "AUTOMATION_WAITS_ALONE"] as const)
    expect(mail({ obstacle: { code, message: "for now" } })).toEqual([true, code, `running: ${code}: for now`]);
  const full = { code: "AUTOMATION_RETRIES_FULL", message: "for now" } as const;
  expect(mail({ obstacle: full })).toMatchObject([false, "AUTOMATION_RETRIES_FULL", expect.anything()]);
});

test("a gap that a source went on behind is said for an hour; the source is ready", () => {
  const gap = { code: "SLOT_LOST", after: "01+", upTo: "02+", agoMs: 60_000 };

  expect(shop({ gap })).toEqual([
    true,
    "GAP_RECORDED",
    "running: GAP_RECORDED: it went on behind a gap 60 s ago: events between 01+ and 02+ can never come",
  ]);
  expect(shop({ gap: { ...gap, agoMs: 3_600_001 } })).toEqual([true, undefined, "running"]);
});

test("a handler that ignores its timeout or nears it, and an outcome that the bus does not take, make an automation not ready", () => {
  expect(mail({ running: 2, hanging: 1 })).toEqual([
    false,
    "HANDLER_STUCK",
    "running: HANDLER_STUCK: handlers that have ignored their timeout and still run: 1",
  ]);
  expect(mail({ running: 1, runningMs: 20_000 })).toEqual([true, undefined, "running"]);
  expect(mail({ running: 1, runningMs: 20_001 })).toEqual([
    false,
    "HANDLER_STUCK",
    "running: HANDLER_STUCK: a handler has run for 20 s, and may for 30 s",
  ]);
  expect(mail({ running: 1, runningMs: 60_000, timeoutMs: 300_000 })).toEqual([true, undefined, "running"]);
  expect(mail({ settlingMs: 16_000 })).toEqual([
    false,
    "OUTCOME_UNSETTLED",
    "running: OUTCOME_UNSETTLED: for 16 s the bus has not taken the outcome of an event",
  ]);
});

test("one part that is not ready makes the whole not ready", () => {
  const report: Report = { version: "0", startedAt: "", bus, sources: [source], automations: [automation] };

  expect(withReadiness(report).ready).toBe(true);
  expect(withReadiness({ ...report, automations: [{ ...automation, hanging: 1 }] }).ready).toBe(false);
});

test("a source that goes on without a table is ready, and says which", () => {
  const notices = [{ code: "TABLE_WITHOUT_IDENTITY", message: "rows of public.bad cannot be told apart" }];

  expect(shop({ notices })).toEqual([
    true,
    "TABLE_WITHOUT_IDENTITY",
    "running: TABLE_WITHOUT_IDENTITY: rows of public.bad cannot be told apart",
  ]);
});

test("an automation tells for an hour of what it never got", () => {
  const gap = { source: "shop" as SourceId, first: 3, last: 9, agoMs: 60_000 };

  expect(mail({ gap })).toEqual([
    true,
    "GAP_RECORDED",
    "running: GAP_RECORDED: it went on 60 s ago behind messages 3 to 9 of shop, which it never got",
  ]);
  expect(mail({ gap: { ...gap, agoMs: 61 * 60_000 } })).toEqual([true, undefined, "running"]);
});

/** What /readyz and `millrace status` show of each alert that stands for a state; a counter has a column of its own. */
const guard = { sees: true, exceeded: [] };
const slotMeasures = slotMetrics({ retainedBytes: 10, timeToFullMs: 60_000, lagMs: 540_000, catalogXminAge: 50 });
const oplogMeasures = oplogMetrics({ windowUsed: 0.7, windowMs: 3_600_000, timeToFullMs: 60_000, lagMs: 540_000 });
const streamMeasures = streamMetrics({ retentionUsed: 0.5, timeToFullMs: 60_000, lagMs: 540_000 });
/** As the guard says it. */
function said(
  measures: readonly RetentionMetric[],
): (measure: string, value: number) => GuardStatus["exceeded"][number] {
  return (measure, value) => {
    const { limit, alarm } = measures.find(({ name }) => name === measure) as RetentionMetric;
    return { measure, value, limit, message: alarm(value, limit) };
  };
}
const [beyond, fallenOff, expired] = [said(slotMeasures), said(oplogMeasures), said(streamMeasures)];
const copy = { backfill: 3, state: "copying", rows: 400, done: 2, by: "ann@db1", at: "2026-01-02T03:00:00Z" } as const;
const shownAs: Readonly<Record<string, Partial<SourceReport> | Partial<AutomationReport> | string>> = {
  MillraceDown: "no answer at all",
  MillraceNotReady: "the part itself",
  MillraceDeadLetters: "the column DEAD of the automation",
  MillracePoison: "the column DEAD of the source",
  MillraceSlotLost: { guard: { ...guard, exceeded: [beyond("lost", 1)] } },
  MillraceOplogLost: { guard: { ...guard, exceeded: [fallenOff("lost", 1)] } },
  MillraceOplogWindow: { guard: { ...guard, exceeded: [fallenOff("windowUsed", 0.71)] } },
  MillraceOplogLostSoon: { guard: { ...guard, soon: oplogMeasures.find(({ soon }) => soon)?.soon?.(3599) } },
  MillraceShardLost: { guard: { ...guard, exceeded: [expired("lost", 1)] } },
  MillraceStreamRetention: { guard: { ...guard, exceeded: [expired("retentionUsed", 0.51)] } },
  MillraceStreamLostSoon: { guard: { ...guard, soon: streamMeasures.find(({ soon }) => soon)?.soon?.(3599) } },
  MillraceGap: { gap: { code: "SLOT_LOST", after: "01+", upTo: "02+", agoMs: 60_000 } },
  MillraceTableGap: { tableGap: { code: "PARTITION_DETACHED", collections: ["public.events"], agoMs: 60_000 } },
  MillraceAutomationGap: { gap: { source: "shop" as SourceId, first: 3, last: 9, agoMs: 60_000 } },
  MillraceSlotGrowing: { guard: { ...guard, exceeded: [beyond("lagSeconds", 541)] } },
  MillraceSlotFullSoon: { guard: { ...guard, soon: slotMeasures.find(({ soon }) => soon)?.soon?.(3599) } },
  MillraceLagging: { lagSeconds: 301 },
  MillraceGuardBlind: { guard: { ...guard, sees: false } },
  MillraceBusUnsteady: { recentRecoveries: 6 },
  MillraceBackfillWaiting: {
    backfill: { ...copy, state: "waiting", reason: { code: "BACKFILL_REFUSED", message: "no key" } },
  },
  MillraceBackfillIdle: { backfill: { ...copy, idleMs: 30 * 60_000 + 1 } },
};
const rules = (
  parse(readFileSync(fileURLToPath(new URL("../../../docker/prometheus/alerts.yml", import.meta.url)), "utf8")) as {
    groups: [{ rules: { alert: string }[] }];
  }
).groups[0].rules.map(({ alert }) => alert);

test.each(rules)("the alert %s is shown", (alert) => {
  const shown = shownAs[alert];
  expect(shown).toBeDefined();
  if (typeof shown === "string" || shown === undefined) return;
  const one = alert.includes("Automation")
    ? { automations: [{ ...automation, ...shown }] }
    : { sources: [{ ...source, ...shown }] };
  const { parts } = withReadiness({ version: "0", startedAt: "", bus, sources: [], automations: [], ...one } as Report);

  expect(parts[1]).toMatchObject({ ready: true, code: parts[1]?.alarms?.[0]?.code, alarms: [expect.anything()] });
});

test("a copy that goes on, rests by a person's wish or is over is no alarm", () => {
  for (const one of [
    { ...copy, idleMs: 1000 },
    { ...copy, state: "paused" },
    { ...copy, state: "completed" },
  ] as const)
    expect(shop({ backfill: one })).toEqual([true, undefined, "running"]);
  expect(shop({ backfill: { ...copy, reason: { code: "BACKFILL_REFUSED", message: "no key" } } })).toEqual([
    ...[true, "BACKFILL_WAITING"],
    "running: BACKFILL_WAITING: copy 3 waits: BACKFILL_REFUSED: no key (docs/backfill.md)",
  ]);
});

test("all that is beyond a limit is said, whatever else is wrong", () => {
  const exceeded = [beyond("lagSeconds", 541.2), beyond("retainedBytes", 11)];
  const stuck = { ...source, stalledMs: 20_000, guard: { sees: true, exceeded } };
  const [, part] = withReadiness({ version: "0", startedAt: "", bus, sources: [stuck], automations: [] }).parts;

  expect(part).toMatchObject({
    ready: false,
    code: "BUS_STALLED",
    alarms: [
      {
        code: "GUARD_EXCEEDED",
        message: "its oldest unacknowledged log is 541 s old, more than 540 s (docs/operations/slot-growing.md)",
      },
      { code: "GUARD_EXCEEDED", message: expect.stringContaining("keeps 11 bytes of log for it, more than 10") },
    ],
  });
});
