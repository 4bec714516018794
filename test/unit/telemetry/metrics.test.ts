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

const created = "shop.public.orders.created";

test("an automation's outcomes are counted apart, dead letters by reason", async () => {
  const { registry, automations } = createMetrics();

  automations.handled("mail", created);
  automations.handled("mail", created);
  automations.skipped("mail", created);
  automations.retried("mail", created);
  automations.dead("mail", "exhausted", "shop.public.orders.deleted");
  automations.missed("mail");
  automations.stray("mail");
  automations.running("mail", 3);
  automations.duration("mail", created, 0.02);

  const text = await registry.metrics();
  const deadBy = { exhausted: 1 };
  expect(automations.counts("mail")).toEqual({
    handled: 2,
    skipped: 1,
    retried: 1,
    dead: 1,
    deadBy,
    running: 3,
    gaps: 1,
    uncaught: 1,
  });
  expect(text).toContain('millrace_automation_gaps_total{automation="mail"} 1');
  expect(text).toContain('millrace_automation_uncaught_total{automation="mail"} 1');
  expect(text).toContain('millrace_automation_events_total{automation="mail",outcome="handled",reason=""} 2');
  expect(text).toContain('millrace_automation_events_total{automation="mail",outcome="dead",reason="exhausted"} 1');
  expect(text).toContain('millrace_automation_running{automation="mail"} 3');
  expect(text).toContain(`events_total{event_type="${created}",status="success"} 3`);
  expect(text).toContain(`events_total{event_type="${created}",status="failure"} 1`);
  expect(text).toContain('events_total{event_type="shop.public.orders.deleted",status="failure"} 1');
  expect(text).toContain(`event_processing_seconds_bucket{le="0.03",automation="mail",event_type="${created}"} 1`);
});

test("event types are told apart up to 500 of them; the rest counts as one", async () => {
  const { registry, automations } = createMetrics();

  for (let nth = 0; nth < 600; nth++) {
    automations.handled("mail", `shop.public.t${nth}.created`);
    automations.duration("mail", `shop.public.t${nth}.created`, 0.02);
  }

  const text = await registry.metrics();
  expect(text.match(/^events_total\{/gm)).toHaveLength(501);
  expect(text.match(/^event_processing_seconds_count\{/gm)).toHaveLength(501);
  expect(text).toContain('events_total{event_type="other",status="success"} 100');
  expect(text).toContain('event_processing_seconds_count{automation="mail",event_type="other"} 100');
});

test("every counter ends in _total, and names begin with millrace_ but for the three that dashboards know", async () => {
  const { registry } = createMetrics();

  const own = (await registry.getMetricsAsJSON()).filter(({ name }) => !/^(process|nodejs)_/.test(name));

  expect(own.map(({ name }) => name).filter((name) => !name.startsWith("millrace_"))).toEqual([
    "events_total",
    "event_processing_seconds",
  ]);
  expect(own.filter(({ type, name }) => String(type) === "counter" && !name.endsWith("_total"))).toEqual([]);
});
