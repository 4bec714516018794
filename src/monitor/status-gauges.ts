// The status as Prometheus gauges, taken when they are scraped.

import type { Registry } from "prom-client";
import type { AutomationStatus, Depth } from "../automation/run/automation-status.ts";
import { copyStates } from "../backfill/standing.ts";
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

type Keys = NonNullable<AutomationStatus["keys"]>;

/** Of automations with `order: "key"`. */
const ofKeys: readonly (readonly [name: string, help: string, value: (keys: Keys) => number])[] = [
  [
    "keys_blocked",
    'Keys that stand still until a person resumes or drops them (order: "key" with onExhausted: "block").',
    ({ blocked }) => blocked,
  ],
  [
    "keys_blocked_seconds",
    "For how long the oldest of them has stood still; 0 without one.",
    ({ oldestBlockedMs }) => oldestBlockedMs / 1000,
  ],
  ["keys_parked", "Events of such keys that are put aside on the bus until theirs goes on.", ({ parked }) => parked],
];

/** Adds `millrace_ready`, `millrace_held_for_fsync` and the like to a registry. */
export function registerStatusGauges(registry: Registry, status: () => Status): void {
  const ready = { name: "millrace_ready", help: "1 when it is ready, 0 when it is stuck.", labelNames: ["kind", "id"] };
  sampled(registry, ready, () => status().parts.map(({ kind, id, ready }) => [{ kind, id }, ready ? 1 : 0]));
  registerPartitions(registry, status);
  registerCopies(registry, status);
  for (const [name, help, take] of ofKeys) {
    sampled(registry, { name: `millrace_automation_${name}`, help, labelNames: ["automation"] }, () =>
      status().automations.flatMap(({ id, keys }) => (keys === undefined ? [] : [[{ automation: id }, take(keys)]])),
    );
  }
  for (const [name, help, take] of ofSources) {
    sampled(registry, { name: `millrace_${name}`, help, labelNames: ["source"] }, () =>
      status().sources.flatMap((source) => {
        const value = take(source);
        return value === undefined ? [] : [[{ source: source.id }, value] as const];
      }),
    );
  }
}

/** Adds `millrace_source_partitions` to a registry. */
function registerPartitions(registry: Registry, status: () => Status): void {
  const help =
    "Partitions of the source's log (DynamoDB: shards): reading, waiting for others, done, and how many of all have a gap.";
  sampled(registry, { name: "millrace_source_partitions", help, labelNames: ["source", "state"] }, () =>
    status().sources.flatMap(({ id: source, partitions = {} }) =>
      Object.entries(partitions).map(([state, count]) => [{ source, state }, count] as const),
    ),
  );
}

/** Adds `millrace_backfill_state` and the like to a registry: of sources of which a copy was ever asked for. */
function registerCopies(registry: Registry, status: () => Status): void {
  const gauge = (
    name: string,
    help: string,
    label: readonly string[],
    values: (copy: NonNullable<SourceReport["backfill"]>) => readonly (readonly [Record<string, string>, number])[],
  ): void =>
    sampled(registry, { name: `millrace_backfill_${name}`, help, labelNames: ["source", ...label] }, () =>
      status().sources.flatMap(({ id: source, backfill }) =>
        backfill === undefined
          ? []
          : values(backfill).map(([labels, value]) => [{ source, ...labels }, value] as const),
      ),
    );
  gauge(
    "state",
    "1 for the state that the newest copy of the source's rows is in: ordered, copying, waiting, paused, completed, cancelled or withdrawn.",
    ["state"],
    ({ state: now }) => copyStates.map((state) => [{ state }, state === now ? 1 : 0]),
  );
  gauge("waiting", "1 while the copy waits, for the reason with this code.", ["code"], ({ reason }) =>
    reason === undefined ? [] : [[{ code: reason.code }, 1]],
  );
  gauge(
    "idle_seconds",
    "For how long a copy that is to go on has not got on; none while it is paused, or over.",
    [],
    ({ idleMs }) => (idleMs === undefined ? [] : [[{}, idleMs / 1000]]),
  );
  gauge(
    "estimated_rows",
    "About how many rows the collections of the copy held when it began, by what the database has counted.",
    [],
    ({ estimatedRows }) => (estimatedRows === undefined ? [] : [[{}, estimatedRows]]),
  );
}

/** What waits, by automation; one that cannot be asked for now is left out. */
export type QueueDepth = () => Promise<ReadonlyMap<string, Depth>>;

/** Adds `queue_depth` and `queue_put_off` to a registry. */
export function registerQueueDepth(registry: Registry, depth: QueueDepth): void {
  const gauge = (name: string, help: string, count: (of: Depth) => number): void =>
    sampled(registry, { name, help, labelNames: ["automation"] }, async () =>
      [...(await depth())].map(([automation, of]) => [{ automation }, count(of)]),
    );
  gauge(
    "queue_depth",
    "Events that wait for an automation: not yet handed out, handed out and not settled, or put off for a retry.",
    ({ pending, unacked, later }) => pending + unacked + later,
  );
  gauge(
    "queue_put_off",
    "Of the events that wait for an automation, those in MILLRACE_RETRY: put off for more than two minutes, or part of a replay.",
    ({ later }) => later,
  );
}

/** What waits for each automation; none of it while the bus is away. */
export async function queueDepths(
  bus: { connected(): boolean },
  running: { depth(automation: string): Promise<Depth> },
  automations: readonly { readonly id: string }[],
): Promise<ReadonlyMap<string, Depth>> {
  const depths = new Map<string, Depth>();
  if (!bus.connected()) return depths;
  const asked = automations.map(async ({ id }) => void depths.set(id, await running.depth(id)));
  await Promise.allSettled(asked); // one that cannot be asked is left out
  return depths;
}
