// The part of the bus contract about what may be saved and acknowledged, and when.

import { describe, expect, test } from "vitest";
import { MAX_BATCH_MESSAGES } from "../../src/bus/jetstream/stream/port.ts";
import type { StreamMessage } from "../../src/event/message.ts";
import type { Position } from "../../src/event/position.ts";
import { onlyPosition, plainPositions } from "../../src/event/positions.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { brokenLinks, place, reached, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";

/** Makes transactions of partitions of a source. */
function partsOf(source: SourceId): (partition: string, final: number, count?: number) => StreamMessage[] {
  return (partition, final, count) =>
    transaction(source, final, count).map((message) => ({
      ...message,
      partition,
      head: `${message.head}Cdc-Part: ${partition}\r\n`,
    }));
}

export function busCheckpointContract({ freshSource, writer: open, events, until, when, clock }: BusGround): void {
  describe("a checkpoint", () => {
    test("that is ahead of the stream is where the source goes on, and it never goes back", async () => {
      const source = freshSource();
      const first = await open(source);
      await first.write([...transaction(source, 10), { type: "commit", position: place(90) }]);
      const mark = await until(async () => {
        const next = await first.nextMark();
        return onlyPosition(next.positions) === place(90) && next;
      }, "the mark of the commit");
      expect(mark.unstored).toEqual(reached(place(90)));
      await first.save(mark);
      expect((await when(first.nextSaved())).positions).toEqual(reached(place(90)));
      await first[Symbol.asyncDispose]();

      const second = await open(source);
      expect(second.resume).toEqual(reached(place(90)));
      expect((await second.nextMark()).positions).toEqual(reached(place(90)));
      await second.write(transaction(source, 50)); // cannot come; if it did, it would be no checkpoint
      await second.write(transaction(source, 95));
      const places: (Position | undefined)[] = [];
      while (places.at(-1) !== place(95)) places.push(onlyPosition((await second.nextMark()).positions));
      expect(places).not.toContain(place(50));
    });

    test("waits until the bus has synced what it stands for, and that is shown", async () => {
      const source = freshSource();
      const fsyncMs = 400;
      const writer = await open(source, { fsync: fsyncMs });
      await writer.write(transaction(source, 10));
      await events(source, 1);
      const storedAt = clock.now();
      await until(() => writer.heldForFsync().marks > 0, "something to be held");
      const mark = await when(writer.nextMark());

      expect(mark.positions).toEqual(reached(place(10)));
      // Pings bracket the time: what is counted began at most one ping after the event was seen.
      expect(clock.now() - storedAt).toBeGreaterThan(2 * fsyncMs - 200);
      expect(writer.heldForFsync()).toEqual({ marks: 0, oldestMs: 0 });
    });

    test("that only the save holds is durable only when the save is", async () => {
      const source = freshSource();
      const fsyncMs = 400;
      const writer = await open(source, { fsync: fsyncMs });
      await writer.write([{ type: "commit", position: place(10) }]);
      const mark = await writer.nextMark();
      expect(mark).toMatchObject({ positions: reached(place(10)), unstored: reached(place(10)) });
      const savedAt = clock.now();
      await writer.save(mark);
      expect(await when(writer.nextSaved())).toMatchObject({ positions: reached(place(10)) });

      expect(clock.now() - savedAt).toBeGreaterThanOrEqual(2 * fsyncMs);
    });

    test("of a source with partitions names each of them, and those that moved behind it are rolled forward", async () => {
      const source = freshSource();
      const of = partsOf(source);
      const first = await open(source);
      await first.write([...of("a", 10), ...of("b", 20), ...of("c", 30)]);
      await when(first.flush(20_000));
      await first.save(await first.nextMark());
      await first.write([...of("a", 40), ...of("b", 50), ...of("a", 60)]);
      await when(first.flush(20_000));
      await first[Symbol.asyncDispose]();

      const second = await open(source);
      expect(plainPositions(second.resume ?? new Map())).toEqual({ a: place(60), b: place(50), c: place(30) });
      expect(brokenLinks(await events(source, 6))).toEqual([]);
    });

    test("behind a start inside of a partition's transaction names those that rest, as far as the checkpoint, the saves and the source tell", async () => {
      const source = freshSource();
      const of = partsOf(source);
      const transactionOf = (count: number): StreamMessage[] => of("b", 60, count);
      const first = await open(source, { fsync: 400 });
      await first.write([...of("a", 10), ...of("c", 30)]);
      await events(source, 2);
      await first.save(await when(first.nextMark()));
      await first.write([{ type: "commit", partition: "a", position: place(15) }]);
      const idle = await when(first.nextMark());
      expect(idle).toMatchObject({ durable: false, unstored: new Map([["a", place(15)]]) });
      await first.save(idle);
      const started = MAX_BATCH_MESSAGES + 1;
      await first.write(transactionOf(started + 1).slice(0, started));
      await events(source, 2 + MAX_BATCH_MESSAGES);
      await first[Symbol.asyncDispose]();

      const second = await open(source);
      const inside = { a: place(15), b: place(60, MAX_BATCH_MESSAGES - 1, false), c: place(30) };
      expect(plainPositions(second.resume ?? new Map())).toEqual(inside);
      await second.write([{ type: "commit", partition: "c", position: place(35) }]);
      await second.write(transactionOf(started + 1).slice(MAX_BATCH_MESSAGES));
      const mark = await when(second.nextMark());
      expect(plainPositions(mark.positions)).toEqual({ ...inside, b: place(60, started), c: place(35) });
    });
  });
}
