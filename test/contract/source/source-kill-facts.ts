// The part of the source contract about a worker that is killed: wherever that is, the stream has all that was committed once.

import { describe, expect, test } from "vitest";
import type { SourceGround } from "./source-ground.ts";
import { type KillPoint, killPoints } from "./source-worker.ts";
import { expectWhole } from "./stream-facts.ts";

/** Reached at a first start, by a loss, by a large row, or at the end of a partition alone. */
const rare: ReadonlySet<KillPoint> = new Set([
  "body-stored",
  "before-remember",
  "after-remember",
  "before-told-of-a-gap",
  "after-told-of-a-gap",
  "after-handed-out-an-end",
]);

export function sourceKillFacts({ shop: fresh, begin, worker: start, stored, when, until }: SourceGround): void {
  describe("the stream of a source", () => {
    test.each(killPoints.filter((point) => !rare.has(point)))(
      "is whole though a worker is killed %s, and the next one too",
      async (at) => {
        const shop = await fresh();
        await when((await begin(shop)).stop());
        const early: string[] = [];
        for (const nth of [1, 2]) {
          const worker = await start(shop, { kill: { at, nth } });
          await until(async () => {
            await shop.commit(0, 2);
            return worker.killed;
          }, `worker ${nth} to be killed ${at}`);
          await shop.commitSome();
          early.push(...worker.early);
        }
        const last = await begin(shop);
        expectWhole(await stored(shop), shop);
        expect([...early, ...last.early]).toEqual([]);
      },
    );

    test.each(["before-remember", "after-remember"] as const)(
      "is whole though workers are killed %s that they begin",
      async (at) => {
        const shop = await fresh();
        for (const nth of [1, 2, 1]) {
          const worker = await start(shop, { kill: { at, nth } });
          await until(
            () => worker.killed || worker.tracker.status().state === "running",
            "a worker to be killed, or to run",
          );
          worker.kill();
        }
        await begin(shop);
        await shop.commitSome();
        expectWhole(await stored(shop), shop);
      },
    );
  });
}
