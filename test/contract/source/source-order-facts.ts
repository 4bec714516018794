// The part of the source contract about what gets into the stream: all that was committed, once, each line in its order,
// whatever becomes of the worker and of its connections.

import { describe, expect, test } from "vitest";
import type { SourceGround } from "./source-ground.ts";
import { changesOf, expectWhole, markersOf } from "./stream-facts.ts";

export function sourceOrderFacts(ground: SourceGround): void {
  const { shop: fresh, begin, worker: start, stored, when, until, server } = ground;
  describe("the stream of a source", () => {
    test("has each transaction once and whole, in the order of its line", async () => {
      const shop = await fresh();
      const worker = await begin(shop);
      await shop.commitSome();
      await shop.commit(0, 1200); // more than a batch
      await shop.commitSome();
      expectWhole(await stored(shop), shop);
      await until(() => worker.tracker.status().acknowledged > 0, "an acknowledgement");

      expect(worker.early).toEqual([]);
      expect(worker.tracker.status()).toMatchObject({ state: "running", poison: 0, notices: [] });
      const parts = new Set(changesOf(await stored(shop)).map(({ header }) => header("Cdc-Part")));
      expect(parts.size).toBe(server.lines);
    });

    test("goes on behind what it has when a worker is stopped, and another one is started", async () => {
      const shop = await fresh();
      for (let round = 0; round < 3; round++) {
        const worker = await begin(shop);
        await shop.commitSome();
        await stored(shop);
        await when(worker.stop());
        await shop.commitSome(); // while nobody reads
      }
      await begin(shop);
      expectWhole(await stored(shop), shop);
      expect(markersOf(await ground.stream(shop), "gap")).toEqual([]);
    });

    test("tells of each version of a collection once, before its first change, whoever reads it", async () => {
      const shop = await fresh();
      const { alter } = shop.database;
      for (const end of ["stop", "kill", "stop"] as const) {
        const worker = await begin(shop);
        await shop.commitSome();
        await stored(shop);
        await alter?.();
        await shop.commitSome();
        await stored(shop);
        if (end === "kill") worker.kill();
        else await when(worker.stop());
        await shop.commitSome();
      }
      await begin(shop);
      expectWhole(await stored(shop), shop);
      const told = markersOf(await ground.stream(shop), "schema").map(({ text }) => JSON.parse(text).version);
      expect(new Set(told).size).toBe(told.length);
      expect(told).toHaveLength(alter === undefined ? 0 : 4 * server.lines);
    });

    test("goes on when the connections to the database are cut, again and again", async () => {
      const shop = await fresh();
      const worker = await begin(shop);
      for (let round = 0; round < 3; round++) {
        await shop.commitSome();
        await shop.database.cut();
        await shop.commitSome();
        await stored(shop);
      }
      expectWhole(await stored(shop), shop);
      expect(worker.counts.retried).toBeGreaterThan(0);
      expect(worker.early).toEqual([]);
    });

    test("is written by one of two workers, and by the other one when that one is killed", async () => {
      const shop = await fresh();
      const first = await begin(shop);
      const second = await start(shop);
      await until(() => second.tracker.status().state === "waiting-for-lease", "the second one to stand by");
      await shop.commitSome();
      await stored(shop);
      first.kill();
      await shop.commitSome();
      expectWhole(await stored(shop), shop);

      expect(second.tracker.status().state).toBe("running");
      expect([...first.early, ...second.early]).toEqual([]);
    });
  });
}
