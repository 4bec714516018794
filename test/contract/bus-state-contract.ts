// The part of the bus contract about small state by key: the workers' own, versions of collections, and each source's memory.

import { describe, expect, test } from "vitest";
import type { StateStore } from "../../src/bus/state-store.ts";
import { FencedError } from "../../src/errors.ts";
import { markerAt } from "../../src/event/source-event.ts";
import { place, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";

export function busStateContract({ freshSource, bus, writerOn, when }: BusGround): void {
  describe.each(["state", "schemas"] as const)("the store of %s", (which) => {
    const store = async (): Promise<StateStore> => (await bus())[which];

    test("has nothing under a key that was never written", async () => {
      expect(await (await store()).get("a.nothing")).toBeUndefined();
    });

    test("gives back a value with the revision it was stored under, to all workers", async () => {
      const value = { text: "ä", n: 1, none: null };
      const revision = await (await store()).put("a.value", value, 0);
      value.n = 2;

      expect(await (await store()).get("a.value")).toEqual({ value: { ...value, n: 1 }, revision });
    });

    test("refuses a value for another revision than the newest", async () => {
      const [one, other] = [await store(), await store()];
      const first = (await one.put("a.race", 1, 0)) ?? 0;

      expect(await other.put("a.race", 2, 0)).toBeUndefined();
      expect(await other.put("a.race", 2, first)).toBeGreaterThan(first);
      expect(await one.put("a.race", 3, first)).toBeUndefined();
      expect((await one.get("a.race"))?.value).toBe(2);
    });

    test("forgets a deleted key, which can be new again", async () => {
      const one = await store();
      const revision = (await one.put("a.gone", 1, 0)) ?? 0;
      await one.delete("a.gone");

      expect(await one.get("a.gone")).toBeUndefined();
      expect(await one.put("a.gone", 2, revision)).toBeUndefined();
      expect(await one.put("a.gone", 2, 0)).toBeDefined();
    });

    test("lists the keys that begin with a prefix", async () => {
      const one = await store();
      for (const key of ["list.b.1", "list.b.2", "list.bb.1", "list.c"]) await one.put(key, 1, 0);

      expect([...(await one.keys("list.b."))].sort()).toEqual(["list.b.1", "list.b.2"]);
      expect(await one.keys("list.d.")).toEqual([]);
    });
  });

  describe("a source's memory", () => {
    test("is what was saved last", async () => {
      const stream = (await bus()).stream(freshSource());

      expect(await stream.loadMemory()).toBeUndefined();
      await stream.saveMemory({ slot: "a" });
      await stream.saveMemory({ slot: "b" });
      expect(await stream.loadMemory()).toEqual({ slot: "b" });
    });

    test("cannot be saved by who has lost the lease", async () => {
      const source = freshSource();
      const [one, other] = [(await bus()).stream(source), (await bus()).stream(source)];
      const never = new AbortController().signal;
      await (await when(one.openWriter(never)))[Symbol.asyncDispose]();
      await one.saveMemory({ slot: "a" });
      await (await when(other.openWriter(never)))[Symbol.asyncDispose]();
      await other.saveMemory({ slot: "b" });

      await expect(one.saveMemory({ slot: "c" })).rejects.toBeInstanceOf(FencedError);
      expect(await one.loadMemory()).toEqual({ slot: "b" });
    });
  });

  describe("a gap in a source's stream", () => {
    test("is the one that its newest history begins behind", async () => {
      const source = freshSource();
      const worker = await bus();
      const stream = worker.stream(source);
      const writer = await writerOn(worker, source);
      await writer.write(transaction(source, 10));
      await when(writer.flush(10_000));
      expect([await stream.recordedGap(), await stream.newestGap()]).toEqual([undefined, undefined]);

      const gap = { code: "SLOT_MISSING", after: place(10), upTo: place(20) };
      const markers = [markerAt(source, "gap", place(20), gap), markerAt(source, "history", place(20), { history: 2 })];
      await writer.write(markers.map((marker) => stream.encode(marker)));
      await when(writer.flush(10_000));
      expect(await stream.recordedGap()).toMatchObject(gap);

      const later = markerAt(source, "gap", place(30), { ...gap, collections: ["public.orders"], upTo: place(30) });
      await writer.write([stream.encode(later)]);
      await when(writer.flush(10_000));
      expect(await stream.newestGap()).toBe(later.id);
      expect(await stream.recordedGap()).toMatchObject(gap);
    });

    test("is not all that is asked of it: also which changes of a collection stand behind a number", async () => {
      const source = freshSource();
      const worker = await bus();
      const stream = worker.stream(source);
      const writer = await writerOn(worker, source);
      const behind = async (op: "created" | "deleted", seq: number): Promise<readonly string[]> => {
        const keys: string[] = [];
        for await (const { key } of stream.changesBehind({ namespace: "public", collection: "orders", op, seq }))
          keys.push(key);
        return keys;
      };
      await writer.write(transaction(source, 10));
      await when(writer.flush(10_000));
      const first = writer.lastSequence();
      await writer.write(transaction(source, 20, 2));
      await when(writer.flush(10_000));
      expect([await behind("created", first), await behind("deleted", 0)]).toEqual([["20-0", "20-1"], []]);
    });
  });
}
