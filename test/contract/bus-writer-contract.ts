// The part of the bus contract about a writer: one a source, whole transactions in order, each once.

import { describe, expect, test } from "vitest";
import { copyBatch } from "../support/bus/copied-rows.ts";
import type { StreamEvent } from "../support/bus/stream-events.ts";
import { brokenLinks, place, positionsOf, reached, transaction } from "../support/postgres/transactions.ts";
import { type BusGround, quick } from "./bus-ground.ts";

export function busWriterContract({
  freshSource,
  bus,
  writer: open,
  writerOn,
  stored,
  events,
  until,
  when,
}: BusGround): void {
  describe("a writer", () => {
    test("begins a stream with a marker that says who writes, and knows no place", async () => {
      const source = freshSource();
      const writer = await open(source);
      const [marker, ...rest] = await stored(source);

      expect(rest).toEqual([]);
      expect(writer.resume).toBeUndefined();
      expect(marker?.subject).toBe(`meta.${source}.writer`);
      expect(JSON.parse(marker?.text ?? "")).toMatchObject({ lease: writer.lease, reason: "start" });
      expect(marker?.header("Cdc-Pos")).toBeUndefined();
    });

    test("stores events in order, each batch naming the place before it", async () => {
      const source = freshSource();
      const writer = await open(source);
      const all = [1, 2, 1, 5, 1].flatMap((count, n) => transaction(source, 10 * (n + 1), count));
      for (const message of all) await writer.write([message]);
      const stream = await events(source, all.length);

      expect(positionsOf(stream)).toEqual(all.map(({ position }) => position));
      expect(stream.slice(1).map(({ text }) => text)).toEqual(all.map(({ data }) => Buffer.from(data).toString()));
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("stores a transaction as one atomic batch, fenced by its first message, and a lone event plainly", async () => {
      const source = freshSource();
      const writer = await open(source);
      await writer.write(transaction(source, 10, 3));
      await events(source, 3);
      await writer.write(transaction(source, 20));
      const [, ...stream] = await events(source, 4);
      const headers = (name: string): readonly (string | undefined)[] => stream.map(({ header }) => header(name));

      expect(new Set(headers("Nats-Batch-Id").slice(0, 3)).size).toBe(1);
      expect(headers("Nats-Batch-Sequence")).toEqual(["1", "2", "3", undefined]);
      expect(headers("Nats-Batch-Commit")).toEqual([undefined, undefined, "1", undefined]);
      expect(headers("Nats-Batch-Id").at(-1)).toBeUndefined();
      expect(headers("Nats-Expected-Last-Sequence")).toEqual(["1", undefined, undefined, "4"]);
      expect(headers("Nats-Expected-Last-Subject-Sequence")).toEqual(["1", undefined, undefined, "1"]);
      expect(headers("Cdc-Prev")).toEqual([undefined, undefined, undefined, place(10, 2)]);
    });

    test.each([
      ["of more events than a batch holds", 2500, 0],
      ["of more bytes than a batch holds", 9, 900_000],
    ])("cuts only a transaction %s", async (_, count, bytes) => {
      const source = freshSource();
      const writer = await open(source);
      await writer.write([
        ...transaction(source, 10, 2),
        ...transaction(source, 20, count, { bytes }),
        ...transaction(source, 30, 2),
      ]);
      const stream = await events(source, count + 4);
      const batches = new Map<string | undefined, number>();
      for (const { header } of stream) {
        const id = header("Nats-Batch-Id");
        batches.set(id, (batches.get(id) ?? 0) + 1);
      }
      const cut = stream.filter(({ header }) => header("Cdc-Tx") === "20").map(({ header }) => header("Nats-Batch-Id"));
      const whole = ["10", "30"].map((tx) =>
        stream.filter(({ header }) => header("Cdc-Tx") === tx).map(({ header }) => header("Nats-Batch-Id")),
      );

      expect(brokenLinks(stream)).toEqual([]);
      expect(new Set(cut).size).toBeGreaterThan(1);
      expect(Math.max(...batches.values())).toBeLessThanOrEqual(1000);
      expect(whole.map((ids) => new Set(ids).size)).toEqual([1, 1]);
    });

    test("keeps back a transaction whose end is not there yet", async () => {
      const source = freshSource();
      const writer = await open(source);
      const [first, second] = transaction(source, 10, 2);
      if (first === undefined || second === undefined) throw new Error("two events");
      await writer.write([...transaction(source, 5), first]);
      expect(await writer.nextMark()).toMatchObject({ positions: reached(place(5)), unstored: undefined });
      expect(positionsOf(await stored(source))).toHaveLength(1);
      await writer.write([second]);

      expect(positionsOf(await events(source, 3))).toEqual([place(5), place(10, 0, false), place(10, 1)]);
    });

    test("renews its marker, which then says where the source is", async () => {
      const source = freshSource();
      const writer = await open(source, { timing: { ...quick, leaseTtlMs: 300, markerEveryMs: 200 } });
      await writer.write(transaction(source, 10, 2));
      const markers = (stream: readonly StreamEvent[]): readonly StreamEvent[] =>
        stream.filter(({ subject, header }) => subject.endsWith(".writer") && header("Cdc-Pos") === place(10, 1));
      await until(async () => markers(await stored(source)).length >= 2, "two renewed markers");
      await writer.write(transaction(source, 20, 2));
      const stream = await events(source, 4);

      expect(JSON.parse(markers(stream)[0]?.text ?? "")).toMatchObject({ lease: writer.lease, reason: "renewed" });
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("flushes what it has, and says what it stored last, and that nothing waits", async () => {
      const source = freshSource();
      const told: string[] = [];
      const writer = await writerOn(await bus(), source, {
        stored: (messages) => told.push(...messages.map(({ position }) => position)),
      });
      expect(writer.committedAt()).toBeUndefined();
      await writer.write([...transaction(source, 10, 3), ...transaction(source, 20, 2, { whole: false })]);
      await when(writer.flush(10_000));

      expect(positionsOf(await stored(source))).toEqual(told);
      expect(told).toEqual([place(10, 0, false), place(10, 1, false), place(10, 2)]);
      expect(writer.lastSequence()).toBe(4);
      expect(writer.committedAt()).toBe("2026-01-01T00:00:00.000001Z");
      expect([writer.stalledMs(), writer.stalledBy()]).toEqual([0, undefined]);
    });

    test("stores a batch beside the tail whole, between two transactions, and repeats the place where it stands", async () => {
      const source = freshSource();
      const writer = await open(source);
      const first = writer.insert(copyBatch(source, reached(place(20)), 1, ["7", "8"]));
      await writer.write([...transaction(source, 10, 2), ...transaction(source, 20, 2)]);
      await when(first);
      await writer.write(transaction(source, 30));
      const [, ...stream] = await events(source, 7);
      const batch = stream.filter(({ header }) => header("Cdc-Tx") === undefined);
      const marker = batch.at(-1);

      expect(stream.slice(4, 7)).toEqual(batch);
      expect(batch.map(({ subject }) => subject)).toEqual([
        ...[`cdc.${source}.public.orders.read.p03`, `cdc.${source}.public.orders.read.p03`, `meta.${source}.backfill`],
      ]);
      expect(batch.map(({ header }) => header("Cdc-Pos"))).toEqual([place(20, 1), place(20, 1), place(20, 1)]);
      expect(new Set(batch.map(({ header }) => header("Nats-Batch-Id"))).size).toBe(1);
      expect(marker?.header("Nats-Batch-Commit")).toBe("1");
      expect(marker?.header("ce-id")).toBe(`${source}.backfill.${writer.lease}.${marker?.sequence}`);
      expect(JSON.parse(marker?.text ?? "")).toEqual({ batch: 1 });
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("hands on how far what stands beside the tail is, with and without rows", async () => {
      const source = freshSource();
      const first = await open(source);
      await first.write(transaction(source, 10));
      await when(first.insert(copyBatch(source, reached(place(10)), 1, ["7"])));
      await when(first.insert(copyBatch(source, reached(place(10)), 2, [])));
      await first[Symbol.asyncDispose]();
      const second = await open(source);

      expect([first.progress, second.progress]).toEqual([undefined, { batch: 2 }]);
      expect(second.resume).toEqual(reached(place(10)));
    });
  });
}
