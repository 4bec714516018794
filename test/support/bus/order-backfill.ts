// What a person would ask of a backfill, put on record without the command, and what its marker says.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
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

/** The body of the newest message of the source's stream that has a subject; undefined where there is none. */
export async function newestOf(natsUrl: string, subject: string): Promise<string | undefined> {
  const connection = await connect({ servers: natsUrl, reconnect: false });
  try {
    const { streams } = await jetstreamManager(connection);
    const found = await streams.getMessage("CDC_SHOP", { last_by_subj: subject }).catch(() => null);
    return found === null ? undefined : new TextDecoder().decode(found.data);
  } finally {
    await connection.close();
  }
}

/** What the newest marker of a copy says. */
export async function newestProgress(natsUrl: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const body = await newestOf(natsUrl, "meta.shop.backfill");
  return body === undefined ? undefined : JSON.parse(body);
}
