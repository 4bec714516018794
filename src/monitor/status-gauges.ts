// The status as Prometheus gauges, taken when they are scraped.

import { Gauge, type Registry } from "prom-client";
import type { Status } from "./status.ts";

const lags = [
  [
    "millrace_source_unsent_bytes",
    "unsentBytes",
    "Bytes of the database's log that it has not yet read for the source.",
  ],
  [
    "millrace_source_unconfirmed_bytes",
    "unconfirmedBytes",
    "Bytes of the database's log beyond what was acknowledged to it.",
  ],
  ["millrace_source_lag_seconds", "lagSeconds", "Since the newest stored transaction was committed; 0 when caught up."],
  [
    "millrace_source_heartbeat_seconds",
    "heartbeatSeconds",
    "How long the newest heartbeat took from the database's log to this worker.",
  ],
] as const;

/** Adds `millrace_ready`, `millrace_held_for_fsync` and the like to a registry. */
export function registerStatusGauges(registry: Registry, status: () => Status): void {
  const registers = [registry];
  new Gauge({
    name: "millrace_ready",
    help: "1 when it is ready, 0 when it is stuck.",
    labelNames: ["kind", "id"],
    registers,
    collect() {
      for (const { kind, id, ready } of status().parts) this.set({ kind, id }, ready ? 1 : 0);
    },
  });
  for (const [name, field, help] of lags) {
    new Gauge({
      name,
      help,
      labelNames: ["source"],
      registers,
      collect() {
        this.reset(); // a source whose lag cannot be had has none, rather than an old one
        for (const source of status().sources) {
          const value = source[field];
          if (value !== undefined) this.set({ source: source.id }, value);
        }
      },
    });
  }
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
