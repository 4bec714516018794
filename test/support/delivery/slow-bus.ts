// A bus in memory that takes its time: each answer comes late, or is lost behind what it was the answer to, or what was asked for is
// lost; and a worker that is killed meanwhile never knows.

import type { Bus } from "../../../src/bus/bus.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import type { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { StateStore } from "../../../src/bus/state-store.ts";
import type { Delivery, Subscription } from "../../../src/bus/subscription.ts";
import type { Clock } from "../../../src/clock.ts";
import { TransientError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { overlaid, overlaidBus } from "../bus/overlaid-bus.ts";
import type { Random } from "../bus/scripted-bus.ts";

const SLOWEST_MS = 400;
const LOST_SHARE = 0.02;

/** When the connection of a worker broke, by the clock. */
export interface SlowBus {
  readonly bus: Bus;
  readonly breaks: readonly number[];
  kill(): Promise<void>;
}

export function slowBus(server: MemoryServer, clock: Clock, random: Random): SlowBus {
  const whole = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  const breaks: number[] = [];
  const late = (): Promise<void> => clock.sleep(random.chance(0.3) ? random.below(SLOWEST_MS) : 0);
  const lost = (): void => {
    if (!random.chance(LOST_SHARE)) return;
    breaks.push(clock.now());
    throw new TransientError("BUS_ACK_INTERRUPTED", "the connection broke", { hint: "a test did it" });
  };
  const slowly = async <Result>(operation: () => Promise<Result>): Promise<Result> => {
    await late();
    lost();
    const result = await operation();
    await late();
    lost();
    return result;
  };
  const ofStore = (store: StateStore): StateStore => ({
    get: (key) => slowly(() => store.get(key)),
    put: (key, value, revision) => slowly(() => store.put(key, value, revision)),
    delete: (key) => slowly(() => store.delete(key)),
    keys: (prefix) => slowly(() => store.keys(prefix)),
  });
  const ofDelivery = (delivery: Delivery): Delivery => {
    const [ack, terminate] = [delivery.ack.bind(delivery), delivery.terminate.bind(delivery)];
    return Object.assign(delivery, {
      ack: () => slowly(ack),
      terminate: (reason: string) => slowly(() => terminate(reason)),
    });
  };
  const ofSubscription = (subscription: Subscription): Subscription =>
    overlaid(subscription, {
      async *[Symbol.asyncIterator](): AsyncIterator<readonly Delivery[]> {
        for await (const deliveries of subscription) yield deliveries.map(ofDelivery);
      },
    });
  const bus = overlaidBus(whole, {
    state: ofStore(whole.state),
    interruptions: () => breaks.length,
    record: (records) => slowly(() => whole.record(records)),
    deadLetter: (subject, head, data, options) => slowly(() => whole.deadLetter(subject, head, data, options)),
    later: (message) => slowly(() => whole.later(message)),
    read: (source, sequence) => slowly(() => whole.read(source, sequence)),
    consume: async (options) => ofSubscription(await whole.consume(options)),
  });
  return { bus, breaks, kill: () => whole[Symbol.asyncDispose]() };
}
