// When a batch of a second producer is let into the stream: virtual time, the real writer on the bus in memory.

import { expect, onTestFinished, test } from "vitest";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { SideBatch, Writer } from "../../../src/bus/source-stream.ts";
import type { Positions } from "../../../src/event/positions.ts";
import { type SourceId, streamName } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { copyBatch } from "../../support/bus/copied-rows.ts";
import { place, reached, transaction } from "../../support/postgres/transactions.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const shop = "shop" as SourceId;

interface Ground {
  readonly clock: VirtualClock;
  readonly writer: Writer;
  /** What stands in the stream: each event by its transaction's number, each progress marker as `copy` and its number. */
  standing(): readonly string[];
}

async function ground(): Promise<Ground> {
  const clock = new VirtualClock();
  const server = new MemoryServer(clock);
  const bus = new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  const writer = await bus.stream(shop).openWriter(new AbortController().signal);
  onTestFinished(() => writer[Symbol.asyncDispose]());
  const standing = (): readonly string[] =>
    (server.streams.get(streamName(shop))?.messages ?? []).flatMap(({ subject, header, data }) => {
      if (subject.endsWith(".backfill")) return [`copy ${JSON.parse(Buffer.from(data).toString()).batch}`];
      return header("Cdc-Tx") ?? [];
    });
  return { clock, writer, standing };
}

const batch = (n: number, notBefore: Positions, keys = ["1"]): SideBatch => copyBatch(shop, notBefore, n, keys);

test("one stands where its place is reached, by an event or where the log goes on without one", async () => {
  const { clock, writer, standing } = await ground();
  const stored: number[] = [];
  void writer.insert(batch(1, reached(place(20)))).then(() => stored.push(1));
  await writer.write(transaction(shop, 10));
  await clock.pass(100);
  const before = [...standing(), ...stored];
  await writer.write([...transaction(shop, 20), ...transaction(shop, 30)]);
  await clock.pass(100);
  void writer.insert(batch(2, reached(place(40)))).then(() => stored.push(2));
  await clock.pass(100);
  const waiting = standing();
  await writer.write([{ type: "commit", position: place(41) }]);
  await clock.pass(100);

  expect(before).toEqual(["10"]);
  expect(waiting).toEqual(["10", "20", "30", "copy 1"]);
  expect(standing()).toEqual([...waiting, "copy 2"]);
  expect(stored).toEqual([1, 2]);
});

test("its rows are asked for where they stand and not before, with that place", async () => {
  const { clock, writer } = await ground();
  const asked: unknown[] = [];
  const notBefore = reached(place(20));
  const messages: SideBatch["messages"] = (at) => {
    asked.push(at);
    return [];
  };
  void writer.insert({ notBefore, progress: {}, messages });
  await writer.write(transaction(shop, 10));
  await clock.pass(100);
  const before = asked.length;
  await writer.write([...transaction(shop, 20), { type: "commit", position: place(25) }]);
  await clock.pass(100);

  expect(before).toBe(0);
  expect(asked).toEqual([{ partition: undefined, position: place(25) }]);
});

test("a transaction of several batches goes on first, and between two of them stands one at most while the tail waits", async () => {
  const { clock, writer, standing } = await ground();
  const anywhere = reached(place(1));
  const copying = (async () => {
    for (let n = 1; n <= 3; n++) await writer.insert(batch(n, anywhere));
  })();
  await writer.write([...transaction(shop, 10, 1500), ...transaction(shop, 20, 900), ...transaction(shop, 30, 900)]);
  await clock.pass(1000);
  await copying;
  const runs = standing().filter((one, at, all) => one !== all[at - 1]);

  expect(runs).toEqual(["10", "copy 1", "20", "copy 2", "30", "copy 3"]);
});

test("none stands before the first place of a stream, and it hears the end of its writer", async () => {
  const { clock, writer, standing } = await ground();
  const ended = expect(writer.insert(batch(1, reached(place(1))))).rejects.toMatchObject({ code: "WRITER_CLOSED" });
  await clock.pass(60_000);
  await writer[Symbol.asyncDispose]();

  await ended;
  expect(standing()).toEqual([]);
});

test.each([
  ["rows", Array.from({ length: 1000 }, (_, n) => `${n}`)],
  ["bytes", Array.from({ length: 5 }, (_, n) => `${n}`.repeat(450_000))],
])("one of more %s than a batch may have ends the writer", async (_, keys) => {
  const { clock, writer } = await ground();
  const inserting = writer.insert(batch(1, reached(place(10)), keys));
  const ended = expect(inserting).rejects.toMatchObject({ code: "SIDE_BATCH_TOO_LARGE" });
  await writer.write(transaction(shop, 10));
  await clock.pass(100);

  await ended;
});
