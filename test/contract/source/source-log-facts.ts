// The part of the source contract about what is handed out: places, ids and order, and that all of it is the same when the log
// is read again from any earlier place.

import { describe, expect, test } from "vitest";
import { comparePositions, isComplete } from "../../../src/event/position.ts";
import { newestOf, type Positions } from "../../../src/event/positions.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import type { SourceGround } from "./source-ground.ts";
import { byLine, byPartition, factsOf, keyOf, type SourceReading } from "./source-reading.ts";

type Event = Exclude<SourceMessage, { type: "commit" | "ended" | "described" | "began" | "lost" }>;

export function sourceLogFacts({ shop: fresh, open, until, when, server }: SourceGround): void {
  const notEvents: readonly SourceMessage["type"][] = ["commit", "ended", "described", "began", "lost"];
  const isEvent = (message: SourceMessage): message is Event => !notEvents.includes(message.type);
  const read = async (reading: SourceReading, changes: number): Promise<readonly Event[]> => {
    await until(() => reading.over || reading.changes.length >= changes, `${changes} changes`);
    return reading.messages.filter(isEvent);
  };
  const mixture = async () => {
    const shop = await fresh();
    const opened = await open(shop);
    await shop.commitSome();
    return { shop, opened, total: shop.keys.flat().length };
  };

  describe("what a source hands out", () => {
    test("is in each line's order, a transaction without anything of another one inside", async () => {
      const { shop, opened, total } = await mixture();
      const reading = opened.read();
      const events = await read(reading, total);

      expect(
        byLine(
          reading.changes.map(({ data }) => keyOf(data)),
          server.lines,
        ),
      ).toEqual(shop.keys);
      let open: Event | undefined;
      for (const event of events) {
        if (open !== undefined)
          expect([event.partition, event.transaction?.id]).toEqual([open.partition, open.transaction?.id]);
        open = isComplete(event.position) ? undefined : event;
      }
      expect(open).toBeUndefined();
    });

    test("has places that rise in each partition, and that no two events share", async () => {
      const { opened, total } = await mixture();
      const reading = opened.read();
      const events = await read(reading, total);

      expect(new Set(events.map(({ position }) => position.replace("+", ""))).size).toBe(events.length);
      const homes = new Map(reading.placed.map(({ position, partition }) => [position, partition]));
      for (const { position, partition } of reading.placed) expect(homes.get(position), position).toBe(partition);
      for (const messages of byPartition(reading.messages).values()) {
        const places = messages.flatMap(({ position }) => position ?? []);
        for (const [nth, place] of places.slice(1).entries())
          expect(comparePositions(place, places[nth] ?? place), `${place} behind ${places[nth]}`).toBeGreaterThan(0);
      }
    });

    test("is the same when it is read again, from the beginning and from behind each event", async () => {
      const { shop, opened, total } = await mixture();
      const events = await read(opened.read(), total);
      await opened.close();
      const froms: (Positions | undefined)[] = [
        undefined,
        ...[...events.keys()].map((nth) => newestOf(events.slice(0, nth + 1))),
      ];

      for (const [behind, from] of froms.entries()) {
        const wanted = events.slice(behind);
        const reopened = await open(shop, opened.memory);
        const reading = reopened.read(from);
        await until(
          () => reading.over || reading.messages.filter(isEvent).length >= wanted.length,
          `the log behind ${behind}`,
        );
        const again = reading.messages.filter(isEvent);
        await reopened.close();

        const [a, b] = [again, wanted].map((list) =>
          [...byPartition(list)].sort().map(([name, part]) => [name, part.map(factsOf)]),
        );
        expect(a, `behind event ${behind}`).toEqual(b);
        const [begun] = wanted;
        const inside = behind > 0 && !isComplete((events[behind - 1] as Event).position);
        if (inside) expect(factsOf(again[0] as Event)).toEqual(factsOf(begun as Event));
      }
    });

    test("begins behind what was acknowledged, however often and however late that is told", async () => {
      const { shop, opened, total } = await mixture();
      const { source, memory } = opened;
      const first = opened.read();
      const events = await read(first, total);
      const half = events.findIndex(({ position }, nth) => nth >= events.length / 2 && isComplete(position)) + 1;
      const [earlier, from] = [newestOf(events.slice(0, 1)), newestOf(events.slice(0, half))];
      if (earlier === undefined || from === undefined) throw new Error("no places");
      for (const positions of [from, from, ...(isComplete((events[0] as Event).position) ? [earlier] : []), from])
        await when(source.acknowledge(positions));
      await shop.commitSome();
      await read(first, shop.keys.flat().length);
      await opened.close();

      const again = await open(shop, memory);
      await when(again.source.acknowledge(from)); // before it is read
      const reading = again.read(from);
      await until(
        () => reading.over || reading.changes.length >= shop.keys.flat().length - countOf(events.slice(0, half)),
        "the rest",
      );
      const keys = [...events.slice(0, half), ...reading.messages].flatMap((message) =>
        message.type === "change" ? keyOf(message.data) : [],
      );
      expect(byLine(keys, server.lines)).toEqual(shop.keys);
    });

    test("describes a collection before the first change of each version, in its transaction", async () => {
      const { shop, opened } = await mixture();
      const describes = shop.database.alter !== undefined;
      await shop.database.alter?.();
      await shop.commitSome();
      const reading = opened.read();
      await read(reading, shop.keys.flat().length);

      const described = new Set<unknown>();
      for (const message of reading.messages) {
        if (message.type === "described") described.add(message.version);
        if (message.type !== "change") continue;
        expect(message.kind.version !== undefined).toBe(describes);
        if (message.kind.version !== undefined) expect(described).toContain(message.kind.version);
      }
      const versions = reading.changes.flatMap(({ kind: { version } }) => version ?? []);
      const shapes = versions.map(({ schema }) => [schema.namespace, schema.columns.map(({ name }) => name)].join());
      expect(new Set(shapes).size).toBe(describes ? 2 * server.lines : 0);
    });
  });
}

function countOf(events: readonly Event[]): number {
  return events.filter(({ type }) => type === "change").length;
}
