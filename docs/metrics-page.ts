// docs/operations/metrics.md from the registry that the worker serves: every metric with its type, labels and meaning.

import type { Registry } from "prom-client";
import { endpointMetrics } from "../src/egress/endpoint-metrics.ts";
import type { SourceId } from "../src/event/source-id.ts";
import { registerGuardGauges } from "../src/monitor/start-guards.ts";
import type { Status } from "../src/monitor/status.ts";
import { registerQueueDepth, registerStatusGauges } from "../src/monitor/status-gauges.ts";
import { streamMetrics } from "../src/source/dynamodb/retention/stream-metrics.ts";
import { oplogMetrics } from "../src/source/mongodb/oplog/oplog-metrics.ts";
import { slotMetrics } from "../src/source/postgres/slot/slot-metrics.ts";
import { createMetrics } from "../src/telemetry/metrics.ts";

const head = `# Metrics

Written by \`npm run docs\` from the registry in the code. \`GET /metrics\` on the worker's HTTP port serves them as
Prometheus text (with \`MILLRACE_HTTP_TOKEN\` set, to its bearer).

Names follow Prometheus' conventions: base units, counters end in \`_total\`. All begin with \`millrace_\`, but for
\`events_total\`, \`event_processing_seconds\` and \`queue_depth\`: those are the names that dashboards for event-driven
automation know, and they are served as they are. Counters start at 0 with the process. A gauge whose value cannot be had
now (the database is away, say) has no line rather than an old one.

Labels are bounded: by the configured sources (and their kinds), automations and endpoints, and \`event_type\` (\`<source>.<namespace>.<collection>.<op>\`)
by 500 types a process; all further ones count as \`other\`.
`;

const tail = `
Beside these there are the client library's own about the process and Node: \`process_…\` (processor time, memory, open
files, start) and \`nodejs_…\` (event loop lag, heap, garbage collection).

## Sums that hold

- \`sum(events_total{status="success"})\` = the handled and skipped of \`millrace_automation_events_total\`;
  \`sum(events_total{status="failure"})\` = the retried and dead of it. Filtered events were given to no handler and are in neither.
- \`sum(event_processing_seconds_count)\` = attempts: all of these but filtered events, and dead letters that no handler was
  started for (\`undecodable\`, \`expired\`, \`crashed\`).
`;

interface Described {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labelNames: readonly string[];
}

/** All that a worker exports, with one source of each kind. */
export function exportedMetrics(): Registry {
  const { registry } = createMetrics();
  const none: Status = {
    version: "",
    startedAt: "",
    bus: { connected: true, fsync: "always" },
    sources: [],
    automations: [],
    ready: true,
    parts: [],
  };
  registerStatusGauges(registry, () => none);
  registerQueueDepth(registry, async () => new Map());
  endpointMetrics(registry, () => []);
  const limits = {
    retainedBytes: 0,
    timeToFullMs: 0,
    lagMs: 0,
    catalogXminAge: 0,
    windowMs: 0,
    windowUsed: 0,
    retentionUsed: 0,
  };
  const seen = { hold: undefined, exceeded: new Set<string>(), sees: true };
  registerGuardGauges(registry, [
    { ...seen, source: "shop" as SourceId, kind: "postgres", metrics: slotMetrics(limits) },
    { ...seen, source: "carts" as SourceId, kind: "mongodb", metrics: oplogMetrics(limits) },
    { ...seen, source: "baskets" as SourceId, kind: "dynamodb", metrics: streamMetrics(limits) },
  ]);
  return registry;
}

export async function metricsPage(): Promise<string> {
  const registry = exportedMetrics();
  const rows = (await registry.getMetricsAsJSON())
    .filter(({ name }) => !/^(process|nodejs)_/.test(name))
    // The client's types leave the labels out.
    .map(({ name }) => registry.getSingleMetric(name) as unknown as Described & { get(): Promise<Described> })
    .map(async (metric) => ({ labelNames: metric.labelNames, given: await metric.get() }));
  const lines = (await Promise.all(rows))
    .sort((a, b) => (a.given.name < b.given.name ? -1 : 1))
    .map(({ labelNames, given: { name, type, help } }) => {
      const labels = labelNames.map((label) => `\`${label}\``).join(" ");
      return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
    });
  return [head, "| metric | type | labels | what it says |", "|---|---|---|---|", ...lines, tail].join("\n");
}
