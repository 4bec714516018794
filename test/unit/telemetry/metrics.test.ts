import { expect, test } from "vitest";
import { createMetrics } from "../../../src/telemetry/metrics.ts";

test("what is counted of a source is what is scraped", async () => {
  const { registry, source } = createMetrics();

  source("shop").read += 7;
  source("shop").saved++;
  source("other").published += 2;

  const text = await registry.metrics();
  expect(text).toContain('millrace_source_messages_read_total{source="shop"} 7');
  expect(text).toContain('millrace_checkpoints_saved_total{source="shop"} 1');
  expect(text).toContain('millrace_source_events_published_total{source="other"} 2');
  expect(await registry.metrics()).toContain('millrace_source_messages_read_total{source="shop"} 7'); // again
  expect(source("shop")).toMatchObject({ read: 7, saved: 1, published: 0 });
});

test("an automation's outcomes are counted apart, dead letters by reason", async () => {
  const { registry, automation, automations } = createMetrics();

  automations.handled("mail");
  automations.handled("mail");
  automations.skipped("mail");
  automations.retried("mail");
  automations.dead("mail", "exhausted");
  automations.running("mail", 3);
  automations.duration("mail", 0.02);

  const text = await registry.metrics();
  expect(automation("mail")).toEqual({ handled: 2, skipped: 1, retried: 1, dead: 1, running: 3 });
  expect(text).toContain('millrace_automation_events_total{automation="mail",outcome="handled",reason=""} 2');
  expect(text).toContain('millrace_automation_events_total{automation="mail",outcome="dead",reason="exhausted"} 1');
  expect(text).toContain('millrace_automation_running{automation="mail"} 3');
  expect(text).toContain('millrace_automation_duration_seconds_bucket{le="0.03",automation="mail"} 1');
});

test("every counter ends in _total and every name begins with millrace_", async () => {
  const { registry } = createMetrics();

  const own = (await registry.getMetricsAsJSON()).filter(({ name }) => !/^(process|nodejs)_/.test(name));

  expect(own.every(({ name }) => name.startsWith("millrace_"))).toBe(true);
  expect(own.filter(({ type, name }) => String(type) === "counter" && !name.endsWith("_total"))).toEqual([]);
});
