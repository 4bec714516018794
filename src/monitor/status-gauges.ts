// The status as Prometheus gauges, taken when they are scraped.

import type { Registry } from "prom-client";
import { sampled } from "../telemetry/sampled.ts";
import type { SourceReport, Status } from "./status.ts";

type OfSource = readonly [name: string, help: string, value: (source: SourceReport) => number | undefined];

/** One that cannot be had has no value. */
const ofSources: readonly OfSource[] = [
  [
    "source_unsent_bytes",
    "Bytes of the database's log that it has not yet read for the source.",
    ({ unsentBytes }) => unsentBytes,
  ],
  [
    "source_unconfirmed_bytes",
    "Bytes of the database's log beyond what was acknowledged to it.",
    ({ unconfirmedBytes }) => unconfirmedBytes,
  ],
  [
    "source_lag_seconds",
    "Since the newest stored transaction was committed; 0 when caught up.",
    ({ lagSeconds }) => lagSeconds,
  ],
  [
    "source_heartbeat_seconds",
    "How long the newest heartbeat took from the database's log to this worker.",
    ({ heartbeatSeconds }) => heartbeatSeconds,
  ],
  [
    "held_for_fsync",
    "Positions stored on the bus that wait for its fsync before they are saved and acknowledged.",
    ({ heldForFsync }) => heldForFsync.marks,
  ],
  [
    "held_for_fsync_seconds",
    "For how long the oldest of them has waited.",
    ({ heldForFsync }) => heldForFsync.oldestMs / 1000,
  ],
];

/** Adds `millrace_ready`, `millrace_held_for_fsync` and the like to a registry. */
export function registerStatusGauges(registry: Registry, status: () => Status): void {
  const ready = { name: "millrace_ready", help: "1 when it is ready, 0 when it is stuck.", labelNames: ["kind", "id"] };
  sampled(registry, ready, () => status().parts.map(({ kind, id, ready }) => [{ kind, id }, ready ? 1 : 0]));
  for (const [name, help, take] of ofSources) {
    sampled(registry, { name: `millrace_${name}`, help, labelNames: ["source"] }, () =>
      status().sources.flatMap((source) => {
        const value = take(source);
        return value === undefined ? [] : [[{ source: source.id }, value] as const];
      }),
    );
  }
}
