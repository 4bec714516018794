// What the guards see, as Prometheus gauges, taken when they are scraped.

import { Gauge, type Registry } from "prom-client";
import type { RetentionMetric } from "../source/source.ts";
import type { Guard } from "./guard.ts";

/** Of a guard. */
type Seen = Pick<Guard, "source" | "metrics" | "hold" | "exceeded" | "sees">;

/** Adds `millrace_guard_exceeded` and what it is about. What cannot be had now has no value. */
export function registerGuardGauges(registry: Registry, guards: readonly Seen[]): void {
  const registers = [registry];
  const metrics = guards.flatMap((guard) => guard.metrics.filter(({ unit }) => unit !== undefined));
  // Sources of two kinds may measure the same.
  for (const [name, { name: measure, help }] of new Map(metrics.map((metric) => [gaugeName(metric), metric]))) {
    new Gauge({
      name,
      help,
      labelNames: ["source"],
      registers,
      collect() {
        this.reset();
        for (const { source, hold } of guards) {
          const now = hold?.[measure];
          if (now !== undefined) this.set({ source }, now);
        }
      },
    });
  }
  new Gauge({
    name: "millrace_guard_exceeded",
    help: "1 while a measure of the source's log is beyond its limit, or its log is lost.",
    labelNames: ["source", "measure"],
    registers,
    collect() {
      for (const { source, exceeded, metrics } of guards) {
        for (const { name: measure } of metrics) this.set({ source, measure }, exceeded.has(measure) ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: "millrace_guard_sees",
    help: "1 when the guard's last look at the source's log was answered.",
    labelNames: ["source"],
    registers,
    collect() {
      for (const { source, sees } of guards) this.set({ source }, sees ? 1 : 0);
    },
  });
}

/** `millrace_guard_retained_bytes`, whether the name has the unit already or not. */
function gaugeName({ name, unit }: RetentionMetric): string {
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `millrace_guard_${words.endsWith(`_${unit}`) ? words : `${words}_${unit}`}`;
}
