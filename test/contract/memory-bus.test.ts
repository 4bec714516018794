// The bus in memory: the contract, and what only it can show, since its time is virtual.

import { describe, expect, test } from "vitest";
import { MemoryBus } from "../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../src/bus/memory/memory-server.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { gapEvent } from "../../src/event/system-event.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { busContract } from "./bus-contract.ts";
import { memoryServer } from "./memory-server.ts";

describe("the contract of the bus, in memory,", () => {
  busContract(memoryServer());
});

test("an event of the worker's own is stored once more when an hour has passed", async () => {
  const clock = new VirtualClock();
  const server = new MemoryServer(clock);
  const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  const event = gapEvent("shop" as SourceId, { code: null, reason: "", after: null, upTo: "1" });
  const stored: (number | undefined)[] = [];
  for (const minutes of [0, 59, 2]) {
    clock.advance(minutes * 60_000);
    await bus.publish(event);
    stored.push(server.streams.get("MILLRACE_EVENTS")?.messages.length);
  }

  expect(stored).toEqual([1, 1, 2]);
});
