// What is counted: plain numbers for the status, which the Prometheus registry reads when it is scraped.

import { collectDefaultMetrics, Registry } from "prom-client";
import { type AutomationCounters, automationCounters } from "./automation-metrics.ts";
import { type IngressCounters, ingressCounters } from "./ingress-metrics.ts";
import { type SourceCounts, sourceCounters } from "./source-metrics.ts";

export interface Metrics {
  readonly registry: Registry;
  /** The counts of a source, to be read and raised. */
  source(id: string): SourceCounts;
  readonly automations: AutomationCounters;
  readonly ingress: IngressCounters;
}

/** Fresh counts, with a registry of their own that also measures the process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Gauges that are named as counters are; the same numbers come by type without the ending.
  for (const what of ["handles", "requests", "resources"]) registry.removeSingleMetric(`nodejs_active_${what}_total`);
  return {
    registry,
    source: sourceCounters(registry),
    automations: automationCounters(registry),
    ingress: ingressCounters(registry),
  };
}
