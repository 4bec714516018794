// The bus in memory: the contract, and what only it can show, since its time is virtual.

import { describe, expect, test } from "vitest";
import { PublishRefused } from "../../src/bus/jetstream/stream/port.ts";
import { MemoryBus } from "../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../src/bus/memory/memory-server.ts";
import { MemoryStream } from "../../src/bus/memory/memory-stream.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { gapEvent } from "../../src/event/system-event.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { busContract } from "./bus-contract.ts";
import { memoryServer } from "./memory-server.ts";

describe("the contract of the bus, in memory,", () => {
  busContract(memoryServer());
});

test("a stream takes a batch whole, and only where its number and its token fit", () => {
  const stream = new MemoryStream(new VirtualClock());
  const lines = (fence: readonly (readonly [string, number | string])[]): Buffer =>
    Buffer.from(`NATS/1.0\r\n${fence.map(([name, value]) => `Nats-Expected-Last-${name}: ${value}\r\n`).join("")}\r\n`);
  const send = (sequence: number, token: number, subjects: readonly string[]) =>
    stream.append(
      subjects.map((subject, index) => {
        const fence = [
          ["Sequence", sequence],
          ["Subject-Sequence", token],
          ["Subject-Sequence-Subject", "meta.shop.writer"],
        ] as const;
        return { subject, headers: lines(index === 0 ? fence : []), data: new Uint8Array() };
      }),
    );
  expect(send(0, 0, ["meta.shop.writer", "a"])).toMatchObject({ seq: 2, count: 2 });
  expect(() => send(1, 1, ["b", "c"])).toThrow(PublishRefused);
  expect(() => send(2, 0, ["b", "c"])).toThrow(PublishRefused);
  expect(send(2, 1, ["b", "c"])).toMatchObject({ seq: 4, count: 2 });
  expect(stream.messages.map(({ seq, subject }) => [seq, subject])).toEqual([
    [1, "meta.shop.writer"],
    [2, "a"],
    [3, "b"],
    [4, "c"],
  ]);
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
