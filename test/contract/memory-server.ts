// The contract's bus in memory, in virtual time.

import { MemoryBus } from "../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../src/bus/memory/memory-server.ts";
import { dataRefOf } from "../../src/event/data-ref.ts";
import { StoppableClock, type TestTime, VirtualTime } from "../support/virtual-time.ts";
import type { BusServer } from "./bus-server.ts";

/** @param time by default virtual */
export function memoryServer(time: TestTime = new VirtualTime()): BusServer {
  const { clock } = time;
  const server = new MemoryServer(clock);
  return {
    time,
    open: async (settings) => new MemoryBus({ server, clock, ...settings }),
    openStanding: async (settings) => {
      const own = new StoppableClock(clock);
      const bus = new MemoryBus({ server, clock: own, ...settings });
      return { bus, standStill: () => own.stop(), goOn: async () => own.goOn() };
    },
    read: async (stream) =>
      (server.streams.get(stream)?.messages ?? []).map((message) => {
        const { seq: sequence, subject, header, data } = message;
        const ref = dataRefOf(message);
        const body = ref === undefined ? data : server.bodies.get(ref.name);
        return { sequence, subject, header, text: Buffer.from(body ?? []).toString() };
      }),
    [Symbol.asyncDispose]: async () => {},
  };
}
