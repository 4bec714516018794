// A bus, or a part of one, of which some of what it does is done otherwise: what a test puts between automations and their bus.

import type { Bus } from "../../../src/bus/bus.ts";

export function overlaidBus(bus: Bus, parts: Partial<Bus>): Bus {
  return overlaid(bus, parts);
}

export function overlaid<Target extends object>(whole: Target, parts: Partial<Target>): Target {
  return new Proxy(whole, {
    get: (target, name) => {
      const part: unknown = Reflect.get(name in parts ? parts : target, name, name in parts ? parts : target);
      return typeof part === "function" && !(name in parts) ? part.bind(target) : part;
    },
  });
}
