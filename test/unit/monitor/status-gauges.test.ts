// What the status becomes as gauges.

import { Registry } from "prom-client";
import { expect, test } from "vitest";
import type { Status } from "../../../src/monitor/status.ts";
import { registerStatusGauges } from "../../../src/monitor/status-gauges.ts";

test("keys that stand still are gauges of the automations that have keys in order, and of no others", async () => {
  const registry = new Registry();
  const one = { state: "running", running: 0, hanging: 0, runningMs: 0, timeoutMs: 1, held: 0, settlingMs: 0 };
  const automations = [
    { ...one, id: "ship", keys: { blocked: 2, oldestBlockedMs: 90_500, parked: 7 } },
    { ...one, id: "mail" },
  ];
  registerStatusGauges(registry, () => ({ parts: [], sources: [], automations }) as unknown as Status);
  const text = await registry.metrics();

  expect(text).toContain('millrace_automation_keys_blocked{automation="ship"} 2\n');
  expect(text).toContain('millrace_automation_keys_blocked_seconds{automation="ship"} 90.5\n');
  expect(text).toContain('millrace_automation_keys_parked{automation="ship"} 7\n');
  expect(text).not.toContain('automation="mail"');
});

test("a copy is gauges of the sources of which one was asked for: its state, why it waits, and how long it has not got on", async () => {
  const registry = new Registry();
  const of = { backfill: 3, rows: 400, done: 2 };
  const reason = { code: "BACKFILL_REFUSED", message: "no key" };
  const sources = [
    {
      id: "shop",
      notices: [],
      heldForFsync: { marks: 0, oldestMs: 0 },
      backfill: { ...of, state: "waiting", reason, idleMs: 2500 },
    },
    {
      id: "crm",
      notices: [],
      heldForFsync: { marks: 0, oldestMs: 0 },
      backfill: { ...of, state: "paused", estimatedRows: 900 },
    },
    { id: "bare", notices: [], heldForFsync: { marks: 0, oldestMs: 0 } },
  ];
  registerStatusGauges(registry, () => ({ parts: [], automations: [], sources }) as unknown as Status);
  const lines = (await registry.metrics()).split("\n").filter((line) => line.startsWith("millrace_backfill_"));

  expect(lines.filter((line) => line.endsWith(" 1") || !line.includes("_state{"))).toEqual([
    'millrace_backfill_state{source="shop",state="waiting"} 1',
    'millrace_backfill_state{source="crm",state="paused"} 1',
    'millrace_backfill_waiting{source="shop",code="BACKFILL_REFUSED"} 1',
    'millrace_backfill_idle_seconds{source="shop"} 2.5',
    'millrace_backfill_estimated_rows{source="crm"} 900',
  ]);
});
