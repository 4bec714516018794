// Subscribes for a test, and takes what is handed out one by one.

import type { Bus } from "../../src/bus/bus.ts";
import type { ConsumeOptions, Delivery, Subscription } from "../../src/bus/subscription.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import type { BusGround } from "./bus-ground.ts";

export interface Consumer {
  readonly subscription: Subscription;
  /** All that was handed out, in this order. */
  readonly taken: readonly Delivery[];
  /** The next of it, once it is there. */
  next(): Promise<Delivery>;
  /** Ends the subscription; what is in hand stays there. */
  stop(): Promise<void>;
  /** Settles when the iteration ends. */
  readonly ended: Promise<void>;
}

export interface Subscribing extends Partial<Omit<ConsumeOptions, "source" | "signal">> {
  /** Another worker's; by default a new one. */
  readonly bus?: Bus;
}

/** By default all changes of a source from the earliest on. */
export type Subscribe = (source: SourceId, options?: Subscribing) => Promise<Consumer>;

export function subscriber(ground: BusGround): Subscribe {
  return async (source, { bus, ...options } = {}) => {
    const stopping = new AbortController();
    const on = bus ?? (await ground.bus());
    const consuming = on.consume({
      source,
      durable: "mail",
      filters: [`cdc.${source}.>`],
      start: "earliest",
      minPending: 10,
      ackWaitMs: 30_000,
      signal: stopping.signal,
      ...options,
    });
    const subscription = await ground.when(consuming);
    const taken: Delivery[] = [];
    const ended = (async () => {
      for await (const deliveries of subscription) taken.push(...deliveries);
    })();
    ended.catch(() => {}); // whoever cares awaits it
    let count = 0;
    return {
      subscription,
      taken,
      next: async () => {
        const delivery = await ground.until(() => taken[count], `delivery ${count + 1}`);
        count++;
        return delivery;
      },
      stop: async () => {
        stopping.abort();
        await ground.when(ended);
      },
      ended,
    };
  };
}

/** Where a delivery's event stands in its source's log. */
export function placeOf(delivery: Delivery): string | undefined {
  return delivery.header("Cdc-Pos");
}
