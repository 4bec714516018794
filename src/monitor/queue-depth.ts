// How much waits for the automations, asked of the bus when it is scraped.

import { Gauge, type Registry } from "prom-client";

/** Events that wait, by automation; one that cannot be asked for now is left out. */
export type QueueDepth = () => Promise<ReadonlyMap<string, number>>;

/** Adds `queue_depth` to a registry. */
export function registerQueueDepth(registry: Registry, depth: QueueDepth): void {
  new Gauge({
    name: "queue_depth",
    help: "Events that wait for an automation: not yet handed out, handed out and not settled, or put off for a retry.",
    labelNames: ["automation"],
    registers: [registry],
    async collect() {
      const depths = await depth();
      this.reset();
      for (const [automation, waiting] of depths) this.set({ automation }, waiting);
    },
  });
}
