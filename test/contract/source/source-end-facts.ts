// The part of the source contract about partitions that end, where a kind has such: what stands behind them comes behind them,
// and nothing that is kept of a source grows with them, wherever a worker is killed.

import { describe, expect, test } from "vitest";
import type { Shop, SourceGround } from "./source-ground.ts";
import type { ContractWorker, KillPoint } from "./source-worker.ts";
import { expectWhole, markersOf } from "./stream-facts.ts";

/** Until its last place is acknowledged; until it is on record that it is over; until that is handed out; until it has left the checkpoint. */
const steps: readonly KillPoint[] = [
  "before-acknowledge",
  "before-remember",
  "after-remember",
  "after-handed-out-an-end",
  "before-save",
];
const SHARDS = 300;
/** Of all that is kept, whether a hundred have come and gone or many more: seven bytes that each of them leaves show. */
const KEPT_BYTES = 2000;

export function sourceEndFacts(ground: SourceGround): void {
  const { shop: fresh, begin, worker: start, stored, stream, when, until, server } = ground;
  /** Whether its lines come to an end: a kind says so of each database. */
  const rolls = async (): Promise<Shop | undefined> => {
    const shop = await fresh();
    return shop.database.roll && shop;
  };
  const roll = async (shop: Shop): Promise<void> => {
    for (const line of shop.keys.keys()) await shop.database.roll?.(line);
  };
  /** What is kept names no partition but those that are written to. */
  const expectNoneOver = async (worker: ContractWorker, shop: Shop): Promise<void> => {
    await until(
      async () => {
        for (const line of shop.keys.keys()) await shop.commit(line);
        return (await worker.kept()).partitions === server.lines;
      },
      "the checkpoint to name no partition that is over",
      60_000,
    );
  };

  describe("partitions that end", () => {
    test("are followed by those that begin behind them, line by line, and leave the checkpoint", async (context) => {
      const shop = await rolls();
      if (shop === undefined) return context.skip();
      const worker = await begin(shop);
      for (let round = 0; round < 3; round++) {
        await shop.commitSome();
        await roll(shop);
      }
      await shop.commitSome();
      await stored(shop);
      await expectNoneOver(worker, shop);
      expectWhole(await stored(shop), shop);
      expect(worker.early).toEqual([]);
    });

    test("while nobody reads are read whole, and then those behind them", async (context) => {
      const shop = await rolls();
      if (shop === undefined) return context.skip();
      await when((await begin(shop)).stop());
      for (let round = 0; round < 3; round++) {
        await shop.commitSome();
        await roll(shop);
      }
      await shop.commitSome();
      const worker = await begin(shop);
      await stored(shop);
      await expectNoneOver(worker, shop);
      expectWhole(await stored(shop), shop);
    });

    test.each(steps)(
      "are never read again though a worker is killed %s of one that is over, and the next one too",
      async (at) => {
        const shop = await rolls();
        if (shop === undefined) return;
        const first = await begin(shop);
        await shop.commitSome();
        await stored(shop);
        await when(first.stop());
        for (const nth of [1, 2]) {
          const worker = await start(shop, { kill: { at, nth } });
          await roll(shop);
          await until(
            async () => {
              await shop.commit(0);
              if (!at.startsWith("before-save")) await shop.database.roll?.(0);
              return worker.killed;
            },
            `worker ${nth} to be killed ${at}`,
            60_000,
          );
        }
        await shop.commitSome();
        const last = await begin(shop);
        await stored(shop);
        await expectNoneOver(last, shop);
        await when(last.stop());
        const again = await begin(shop); // whose place no longer names them
        await shop.commitSome();
        expectWhole(await stored(shop), shop);
        const gaps = markersOf(await stream(shop), "gap");
        expect([gaps, again.early]).toEqual([[], []]);
      },
    );

    test("leave nothing behind, though hundreds of them come and go", { timeout: 120_000 }, async (context) => {
      const shop = await rolls();
      if (shop === undefined) return context.skip();
      const worker = await begin(shop);
      const grow = async (shards: number): Promise<void> => {
        for (let nth = 0; nth < shards; nth++) {
          await shop.commit(0);
          await shop.database.roll?.(0);
        }
        await stored(shop);
      };
      for (let nth = 0; nth < SHARDS; nth += 10) await grow(10);
      // In the meantime the server lists the oldest no more.
      for (let minutes = 0; minutes < 10; minutes++) {
        await when(ground.clock.sleep(60_000));
        await grow(1);
      }
      await expectNoneOver(worker, shop);
      expectWhole(await stored(shop), shop);
      expect((await worker.kept()).bytes).toBeLessThan(KEPT_BYTES);
    });
  });
}
