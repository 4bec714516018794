// What any bus owes the worker: one writer a source, whole transactions in order, each once, whatever happens between.

import { describe, expect, test } from "vitest";
import { FencedError, PoisonError } from "../../src/errors.ts";
import { readStream, type StreamEvent } from "../support/bus/stream-events.ts";
import { brokenLinks, place, positionsOf, transaction } from "../support/postgres/transactions.ts";
import { waitFor } from "../support/wait-for.ts";
import { busCheckpointContract } from "./bus-checkpoint-contract.ts";
import { type BusGround, busGround, type MakeBus, quick } from "./bus-ground.ts";
import { busHandoverContract } from "./bus-handover-contract.ts";

/** Call it inside of `describe`. */
export async function busContract(makeBus: MakeBus): Promise<void> {
  const ground = await busGround(makeBus);
  writing(ground);
  busHandoverContract(ground);
  busCheckpointContract(ground);
  beside(ground);
}

function writing({ freshSource, writer: open, stored, events }: BusGround): void {
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
      expect(await writer.nextMark()).toMatchObject({ position: place(5), inStream: true });
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
      await waitFor(async () => markers(await stored(source)).length >= 2, { what: "two renewed markers" });
      await writer.write(transaction(source, 20, 2));
      const stream = await events(source, 4);

      expect(JSON.parse(markers(stream)[0]?.text ?? "")).toMatchObject({ lease: writer.lease, reason: "renewed" });
      expect(brokenLinks(stream)).toEqual([]);
    });
  });
}

function beside({ nats, bus, freshSource }: BusGround): void {
  describe("beside the streams", () => {
    test("a source's memory is what was saved last", async () => {
      const stream = (await bus()).stream(freshSource());

      expect(await stream.loadMemory()).toBeUndefined();
      await stream.saveMemory({ slot: "a" });
      await stream.saveMemory({ slot: "b" });
      expect(await stream.loadMemory()).toEqual({ slot: "b" });
    });

    test("a source's memory cannot be saved by who has lost the lease", async () => {
      const source = freshSource();
      const [one, other] = [(await bus()).stream(source), (await bus()).stream(source)];
      const never = new AbortController().signal;
      await (await one.openWriter(never))[Symbol.asyncDispose]();
      await one.saveMemory({ slot: "a" });
      await (await other.openWriter(never))[Symbol.asyncDispose]();
      await other.saveMemory({ slot: "b" });

      await expect(one.saveMemory({ slot: "c" })).rejects.toBeInstanceOf(FencedError);
      expect(await one.loadMemory()).toEqual({ slot: "b" });
    });

    test("a dead letter is stored with its headers, and one that is too large is refused", async () => {
      const { deadLetter } = await bus();
      await deadLetter("dead.mail", "ce-id: 1\r\nMillrace-Error: NO\r\n", Buffer.from("why"));

      const [letter] = await readStream(nats.url, "MILLRACE_DEAD");
      expect([letter?.subject, letter?.header("ce-id"), letter?.header("Millrace-Error"), letter?.text]).toEqual([
        "dead.mail",
        "1",
        "NO",
        "why",
      ]);
      await expect(deadLetter("dead.mail", "", Buffer.alloc(2_000_000))).rejects.toBeInstanceOf(PoisonError);
    });
  });
}
