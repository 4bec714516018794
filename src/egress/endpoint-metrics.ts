// What is counted of endpoints, by their names.

import { Histogram, type Registry } from "prom-client";
import { sampled } from "../telemetry/sampled.ts";

/** How a request ended: `taken`, `refused` by its answer, `throttled` (429), or without an answer. */
export type Ended = "taken" | "refused" | "throttled" | "unreachable";

export interface EndpointCounts {
  ended(how: Ended, tookMs: number): void;
}

/** How the endpoints stand, when it is scraped. */
export type StandingsOf = () => Iterable<readonly [endpoint: string, state: string]>;

/** Adds `millrace_endpoint_…` to a registry. */
export function endpointMetrics(registry: Registry, standings: StandingsOf): (endpoint: string) => EndpointCounts {
  const counts = new Map<string, Map<Ended, number>>();
  sampled(
    registry,
    {
      name: "millrace_endpoint_requests_total",
      help: "Requests to an endpoint by how they ended: taken, refused by its answer, throttled (429), or unreachable.",
      labelNames: ["endpoint", "outcome"],
    },
    () =>
      [...counts].flatMap(([endpoint, ends]) =>
        [...ends].map(([outcome, count]) => [{ endpoint, outcome }, count] as const),
      ),
  );
  sampled(
    registry,
    {
      name: "millrace_endpoint_state",
      help: "1 for the state that an endpoint is in: open, paused or disabled.",
      labelNames: ["endpoint", "state"],
    },
    () => [...standings()].map(([endpoint, state]) => [{ endpoint, state }, 1] as const),
  );
  const seconds = new Histogram({
    name: "millrace_endpoint_seconds",
    help: "How long requests to an endpoint took, to the end of the answer.",
    labelNames: ["endpoint"],
    buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
    registers: [registry],
  });
  return (endpoint) => {
    const ends = new Map<Ended, number>();
    counts.set(endpoint, ends);
    return {
      ended: (how, tookMs) => {
        ends.set(how, (ends.get(how) ?? 0) + 1);
        seconds.observe({ endpoint }, tookMs / 1000);
      },
    };
  };
}
