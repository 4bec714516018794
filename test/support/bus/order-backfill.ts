// What a person would ask of a backfill, put on record without the command.

import { changeOrder, type Order } from "../../../src/backfill/order.ts";
import { openAutomationSteering } from "../../../src/bus/jetstream/commands/steer-automation.ts";
import type { SourceId } from "../../../src/event/source-id.ts";

/** Resolves when it is on record. */
export async function orderBackfill(natsUrl: string, order: Partial<Order> = {}): Promise<void> {
  const { signal } = new AbortController();
  await using bus = await openAutomationSteering({ servers: [natsUrl], replicas: 1, signal });
  await changeOrder(bus.state, "shop" as SourceId, (known) => ({
    ...{ backfill: known?.backfill ?? 1, state: "running", by: "a test", at: new Date().toISOString() },
    ...order,
  }));
}
