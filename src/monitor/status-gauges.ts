// The status as Prometheus gauges, taken when they are scraped.

import { Gauge, type Registry } from "prom-client";
import { readinessOf, type Status } from "./status.ts";

/** Adds `millrace_ready`, `millrace_held_for_fsync` and the like to a registry. */
export function registerStatusGauges(registry: Registry, status: () => Status): void {
  const registers = [registry];
  new Gauge({
    name: "millrace_ready",
    help: "1 when it is ready, 0 when it is stuck.",
    labelNames: ["kind", "id"],
    registers,
    collect() {
      for (const { kind, id, ready } of readinessOf(status())) this.set({ kind, id }, ready ? 1 : 0);
    },
  });
  new Gauge({
    name: "millrace_source_unconfirmed_bytes",
    help: "Bytes of the database's log beyond what was acknowledged to it.",
    labelNames: ["source"],
    registers,
    collect() {
      this.reset(); // a source whose lag cannot be had has none, rather than an old one
      for (const { id, unconfirmedBytes } of status().sources) {
        if (unconfirmedBytes !== undefined) this.set({ source: id }, unconfirmedBytes);
      }
    },
  });
  new Gauge({
    name: "millrace_held_for_fsync",
    help: "Positions stored on the bus that wait for its fsync before they are saved and acknowledged.",
    labelNames: ["source"],
    registers,
    collect() {
      for (const { id, heldForFsync } of status().sources) this.set({ source: id }, heldForFsync.marks);
    },
  });
  new Gauge({
    name: "millrace_held_for_fsync_seconds",
    help: "For how long the oldest of them has waited.",
    labelNames: ["source"],
    registers,
    collect() {
      for (const { id, heldForFsync } of status().sources) this.set({ source: id }, heldForFsync.oldestMs / 1000);
    },
  });
}
