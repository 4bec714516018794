// How much waits for the automations, asked of the bus when it is scraped.

import type { Registry } from "prom-client";
import { sampled } from "../telemetry/sampled.ts";

/** Events that wait, by automation; one that cannot be asked for now is left out. */
export type QueueDepth = () => Promise<ReadonlyMap<string, number>>;

/** Adds `queue_depth` to a registry. */
export function registerQueueDepth(registry: Registry, depth: QueueDepth): void {
  const help =
    "Events that wait for an automation: not yet handed out, handed out and not settled, or put off for a retry.";
  sampled(registry, { name: "queue_depth", help, labelNames: ["automation"] }, async () =>
    [...(await depth())].map(([automation, waiting]) => [{ automation }, waiting]),
  );
}

interface Depth {
  readonly pending: number;
  readonly unacked: number;
}

/** What waits for each automation; none of it while the bus is away. */
export async function queueDepths(
  bus: { connected(): boolean },
  running: { depth(automation: string): Promise<Depth> },
  automations: readonly { readonly id: string }[],
): Promise<ReadonlyMap<string, number>> {
  const depths = new Map<string, number>();
  if (!bus.connected()) return depths;
  const asked = automations.map(async ({ id }) => {
    const { pending, unacked } = await running.depth(id);
    depths.set(id, pending + unacked);
  });
  await Promise.allSettled(asked); // one that cannot be asked is left out
  return depths;
}
