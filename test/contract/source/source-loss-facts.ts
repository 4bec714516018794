// The part of the source contract about a log that no longer holds what comes next: the worker stops, or goes on behind one gap
// that the stream and the other side of the bus are told of.

import { describe, expect, test } from "vitest";
import { HistoryLostError } from "../../../src/errors.ts";
import type { Shop, SourceGround } from "./source-ground.ts";
import type { KillPoint, WorkerSettings } from "./source-worker.ts";
import { changedKeys, markersOf, wrongIn } from "./stream-facts.ts";

const around: readonly KillPoint[] = [
  "before-remember",
  "after-remember",
  "before-told-of-a-gap",
  "after-told-of-a-gap",
];

export function sourceLossFacts({
  shop: fresh,
  begin,
  worker: start,
  stream,
  stored,
  toldGaps,
  when,
  until,
  server: { keepsLog },
}: SourceGround): void {
  if (keepsLog !== undefined) console.error(`skipping tests: ${keepsLog}`);
  /** One whose log has lost what was committed last. */
  const lossy = async (): Promise<Shop & { readonly lost: string }> => {
    const shop = await fresh();
    const worker = await begin(shop);
    await shop.commitSome();
    await stored(shop);
    await when(worker.stop());
    const lost = shop.nextKey(0);
    await shop.commit(0);
    await shop.database.loseLog();
    return { ...shop, lost };
  };
  /** It goes on: exactly one gap is told, and then all that is committed. */
  const expectGap = async (shop: Awaited<ReturnType<typeof lossy>>): Promise<void> => {
    await shop.commit(0, 2);
    const wanted = shop.keys.map((keys) => keys.filter((key) => key !== shop.lost));
    const events = await stored(shop, wanted.flat().length);

    expect(changedKeys(events, shop)).toEqual(wanted);
    expect(wrongIn(events, shop)).toEqual([]);
    const gaps = markersOf(events, "gap");
    expect(gaps).toHaveLength(1);
    const about = JSON.parse(gaps[0]?.text ?? "");
    expect(about).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/), reason: expect.any(String) });
    expect(about.upTo).toBe(gaps[0]?.header("Cdc-Pos"));
    expect(new Set((await toldGaps(shop)).map(({ header }) => header("ce-id"))).size).toBe(1);
  };

  describe.skipIf(keepsLog !== undefined)("a source whose log was lost", () => {
    test("stops, and leaves all as it was, each time it is started", async () => {
      const shop = await lossy();
      const before = await stream(shop);
      for (let round = 0; round < 2; round++) {
        const worker = await start(shop);
        const error = await when(worker.ended);
        expect(error).toBeInstanceOf(HistoryLostError);
        expect(worker.tracker.status()).toMatchObject({
          state: "stopped",
          reason: { code: (error as HistoryLostError).code },
        });
      }
      expect(markersOf(await stream(shop), "gap")).toEqual([]);
      expect(changedKeys(await stream(shop), shop)).toEqual(changedKeys(before, shop));
    });

    test.each<readonly [string, WorkerSettings]>([
      ["its option says so", { onGap: "continue" }],
      ["a person does", { adopt: true }],
    ])("goes on behind one gap where %s", async (_, settings) => {
      const shop = await lossy();
      const worker = await begin(shop, settings);
      await expectGap(shop);
      expect(worker.gaps).toHaveLength(1);
      expect(worker.early).toEqual([]);
      await when(worker.stop());
      await begin(shop); // it holds for one loss, and that one is dealt with
      await expectGap(shop);
    });

    test.each(around)("goes on behind one gap though the worker is killed %s", async (at) => {
      const shop = await lossy();
      const first = await start(shop, { adopt: true, kill: { at, nth: 1 } });
      await until(() => first.killed, `it to be killed ${at}`);
      await begin(shop, { adopt: at === "before-remember" }); // what is on record is not asked again
      await expectGap(shop);
    });
  });
}
