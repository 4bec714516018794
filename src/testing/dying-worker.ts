// A worker that does its work and ends before the bus hears of it: then all events come again, as they do for the next worker in life.

import type { Bus, ConsumeOptions, Delivery, Subscription } from "../bus/bus.ts";

/** A worker's bus that takes all but what says that an event is settled. */
export class DyingWorker {
  readonly bus: Bus;
  #unheard = 0;

  constructor(bus: Bus) {
    this.bus = replaced(bus, "consume", async (options: ConsumeOptions) =>
      this.#subscription(await bus.consume(options)),
    );
  }

  /** Events whose end was told, and that nobody heard of. */
  get unheard(): number {
    return this.#unheard;
  }

  #subscription(subscription: Subscription): Subscription {
    const deliveries = (batch: readonly Delivery[]): readonly Delivery[] => batch.map((one) => this.#delivery(one));
    return replaced(subscription, Symbol.asyncIterator, async function* () {
      for await (const batch of subscription) yield deliveries(batch);
    });
  }

  #delivery(delivery: Delivery): Delivery {
    const unheard = (): Promise<never> => {
      this.#unheard++;
      return new Promise(() => {});
    };
    return replaced(replaced(delivery, "ack", unheard), "terminate", unheard);
  }
}

/** The same object, but for one of its methods. */
function replaced<T extends object>(target: T, method: keyof T, by: unknown): T {
  return new Proxy(target, {
    get: (_, name) => {
      if (name === method) return by;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
