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
