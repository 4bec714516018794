// A worker that does its work and ends before the bus hears of it: then all events come again, as they do for the next worker in life.

import type { Bus } from "../bus/bus.ts";
import type { ConsumeOptions, Delivery, Subscription } from "../bus/subscription.ts";
import type { RetryMessage } from "../event/retry-message.ts";

/** A worker's bus that takes all but what says that an event is settled. */
export class DyingWorker {
  readonly bus: Bus;
  #unheard = 0;
  /** Events that go on in MILLRACE_RETRY, whose ack says no more than that. */
  readonly #putOff = new Set<string>();

  constructor(bus: Bus) {
    const later = async (message: RetryMessage): Promise<void> => {
      await bus.later(message);
      this.#putOff.add(nameOf(message.automation, message));
    };
    const consume = async (options: ConsumeOptions): Promise<Subscription> =>
      this.#subscription(await bus.consume(options), options.durable);
    this.bus = replaced(replaced(bus, "later", later), "consume", consume);
  }

  /** Events whose end was told, and that nobody heard of. */
  get unheard(): number {
    return this.#unheard;
  }

  #subscription(subscription: Subscription, automation: string): Subscription {
    const deliveries = (batch: readonly Delivery[]): readonly Delivery[] =>
      batch.map((one) => this.#delivery(one, nameOf(automation, one)));
    return replaced(subscription, Symbol.asyncIterator, async function* () {
      for await (const batch of subscription) yield deliveries(batch);
    });
  }

  #delivery(delivery: Delivery, name: string): Delivery {
    const unheard = (): Promise<never> => {
      this.#unheard++;
      return new Promise(() => {});
    };
    const ack = (): Promise<void> => (this.#putOff.delete(name) ? delivery.ack() : unheard());
    return replaced(replaced(delivery, "ack", ack), "terminate", unheard);
  }
}

/** One event of an automation. */
function nameOf(
  automation: string,
  { stream, sequence, run }: Pick<RetryMessage, "stream" | "sequence" | "run">,
): string {
  return `${automation} ${run} ${stream} ${sequence}`;
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
