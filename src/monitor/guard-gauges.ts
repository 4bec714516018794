// What the guards see, as Prometheus gauges, taken when they are scraped.

import type { Registry } from "prom-client";
import type { RetentionMetric } from "../source/source.ts";
import { sampled } from "../telemetry/sampled.ts";
import type { Guard } from "./guard.ts";

/** Of a guard. */
type Seen = Pick<Guard, "source" | "metrics" | "hold" | "exceeded" | "sees">;

/** Adds `millrace_guard_exceeded` and what it is about. What cannot be had now has no value. */
export function registerGuardGauges(registry: Registry, guards: readonly Seen[]): void {
  const metrics = guards.flatMap((guard) => guard.metrics.filter(({ unit }) => unit !== undefined));
  // Sources of two kinds may measure the same.
  for (const [name, { name: measure, help }] of new Map(metrics.map((metric) => [gaugeName(metric), metric]))) {
    sampled(registry, { name, help, labelNames: ["source"] }, () =>
      guards.flatMap(({ source, hold }) => {
        const now = hold?.[measure];
        return now === undefined ? [] : [[{ source }, now] as const];
      }),
    );
  }
  const exceeded = "1 while a measure of the source's log is beyond its limit, or its log is lost.";
  sampled(registry, { name: "millrace_guard_exceeded", help: exceeded, labelNames: ["source", "measure"] }, () =>
    guards.flatMap(({ source, exceeded, metrics }) =>
      metrics.map(({ name: measure }) => [{ source, measure }, exceeded.has(measure) ? 1 : 0] as const),
    ),
  );
  const sees = "1 when the guard's last look at the source's log was answered.";
  sampled(registry, { name: "millrace_guard_sees", help: sees, labelNames: ["source"] }, () =>
    guards.map(({ source, sees }) => [{ source }, sees ? 1 : 0]),
  );
}

/** `millrace_guard_retained_bytes`, whether the name has the unit already or not. */
function gaugeName({ name, unit }: RetentionMetric): string {
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `millrace_guard_${words.endsWith(`_${unit}`) ? words : `${words}_${unit}`}`;
}
