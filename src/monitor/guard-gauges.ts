// What the guards see, as Prometheus gauges, taken when they are scraped.

import { Gauge, type Registry } from "prom-client";
import type { LogRetention, RetentionMetric } from "../source/source.ts";
import type { Guard } from "./guard.ts";

type Value = Exclude<RetentionMetric, "lost">;

const gauges: Readonly<Record<Value, readonly [name: string, help: string]>> = {
  retainedBytes: ["retained_bytes", "Bytes of log that the database keeps for the source."],
  timeToFullSeconds: ["time_to_full_seconds", "Until that log is lost, or at its limit, if it goes on like this."],
  lagSeconds: ["lag_seconds", "Age of the oldest log that is not acknowledged."],
  catalogXminAge: ["catalog_xmin_age_transactions", "Age of what VACUUM must leave in the catalog for the source."],
};
const measures: readonly RetentionMetric[] = ["lost", ...(Object.keys(gauges) as Value[])];

/** Adds `millrace_guard_exceeded` and what it is about. What cannot be had now has no value. */
export function registerGuardGauges(registry: Registry, guards: readonly Guard[]): void {
  const registers = [registry];
  const gauge = (name: string, help: string, value: (hold: LogRetention) => number | undefined): void => {
    new Gauge({
      name: `millrace_guard_${name}`,
      help,
      labelNames: ["source"],
      registers,
      collect() {
        this.reset();
        for (const { source, hold } of guards) {
          const now = hold && value(hold);
          if (now !== undefined) this.set({ source }, now);
        }
      },
    });
  };
  for (const [measure, [name, help]] of Object.entries(gauges)) gauge(name, help, (hold) => hold[measure as Value]);
  new Gauge({
    name: "millrace_guard_exceeded",
    help: "1 while a measure of the source's log is beyond its limit, or its log is lost.",
    labelNames: ["source", "measure"],
    registers,
    collect() {
      for (const { source, exceeded } of guards) {
        for (const measure of measures) this.set({ source, measure }, exceeded.has(measure) ? 1 : 0);
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
