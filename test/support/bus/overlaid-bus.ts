// A bus of which some of what it does is done otherwise: what a test puts between automations and their bus.

import type { Bus } from "../../../src/bus/bus.ts";

export function overlaidBus(bus: Bus, parts: Partial<Bus>): Bus {
  return new Proxy(bus, {
    get: (target, name) => {
      const part: unknown = Reflect.get(name in parts ? parts : target, name, name in parts ? parts : target);
      return typeof part === "function" && !(name in parts) ? part.bind(target) : part;
    },
  });
}
