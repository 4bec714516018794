// Documents copied while they are changed, replaced, deleted and inserted again, by workers that are killed in the middle: whoever
// applies the stream in its order never goes back in time, reads no document twice, and ends with what the collections hold.

import { setTimeout as pause } from "node:timers/promises";
import { Double, Long, type MongoClient, UUID } from "mongodb";
import { describe, expect, test } from "vitest";
import { newestOf, newestProgress, orderBackfill } from "../support/bus/order-backfill.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { CopiedDocuments } from "../support/check/copied-documents.ts";
import { seedOf } from "../support/fault-ground.ts";
import { delivered } from "../support/mongodb/described.ts";
import { freshMongoDatabase, type MongoDatabase } from "../support/mongodb/mongo-servers.ts";
import { mongoTarget } from "../support/mongodb/mongo-target.ts";
import { CrashingWorker } from "../support/process/crashing-worker.ts";
import { freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const COLLECTIONS = ["a", "b", "c"];
const DOCUMENTS = 120;

interface Item {
  readonly _id: unknown;
  readonly v: number;
  readonly doc?: string;
}

/** Of several types: the copy goes through all of them. */
function idOf(nth: number): unknown {
  if (nth % 5 === 1) return `k${nth}`;
  if (nth % 5 === 2) return new Double(nth + 0.5);
  if (nth % 5 === 3) return { part: nth, of: Long.fromNumber(nth) };
  return nth % 5 === 4 ? new UUID(nth.toString(16).padStart(32, "0")) : nth;
}

/** Writes of all kinds, until it is stopped. Two writers never write the same document. */
function writing(client: MongoClient, { name }: MongoDatabase, seed: number): { stop(): Promise<number> } {
  let [state, v, written, stopped] = [seed >>> 0, 1, 0, false];
  const below = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const one = async (of: number): Promise<void> => {
    const items = client.db(name).collection<Item>(COLLECTIONS[below(COLLECTIONS.length)] as string);
    const _id = idOf(2 * below(DOCUMENTS / 2 + 10) + of) as never;
    const next = (): number => ++v;
    const kinds: readonly (() => Promise<unknown>)[] = [
      () => items.updateOne({ _id }, { $set: { v: next() } }),
      () => items.updateOne({ _id }, { $set: { v: next(), doc: "x".repeat(below(50)) } }),
      () => items.replaceOne({ _id }, { v: next() } as never),
      () => items.deleteOne({ _id }),
      () => items.replaceOne({ _id }, { v: next(), doc: "again" } as never, { upsert: true }),
      async () => {
        await items.deleteOne({ _id });
        await items.insertOne({ _id, v: next() });
      },
      () =>
        client.withSession((session) =>
          session.withTransaction(async () => {
            await items.updateOne({ _id }, { $set: { v: next() } }, { session });
            await items.updateOne({ _id }, { $set: { v: next() } }, { session });
          }),
        ),
    ];
    await (kinds[below(kinds.length)] as () => Promise<unknown>)();
    written++;
  };
  const writer = async (of: number): Promise<void> => {
    while (!stopped) {
      await one(of);
      await pause(5); // two cores: the copy must come to its turn
    }
  };
  const writers = Promise.all([writer(0), writer(1)]);
  writers.catch(() => {});
  return {
    stop: async () => {
      stopped = true;
      await writers;
      return written;
    },
  };
}

describe.skipIf(missing("nats"))(`a copy of documents of ${mongoTarget}`, () => {
  test.each([
    { after: "lookup", kills: [3, 2] },
    { after: "none", kills: [2] },
  ])(
    "beside writes, by workers killed in the middle of it, ends with what the collections hold (after $after)",
    {
      timeout: 120_000,
    },
    async ({ after, kills }) => {
      const seed = seedOf(`backfill of documents, ${after}`);
      await using nats = await freshNats({ syncInterval: "always" });
      await using database = await freshMongoDatabase();
      const { client, db } = database;
      for (const name of COLLECTIONS) {
        const documents = Array.from({ length: DOCUMENTS }, (_, nth) => ({
          _id: idOf(nth),
          v: 1,
          doc: "d".repeat(nth),
        }));
        await db.collection(name).insertMany(documents as never);
      }
      const source = { kind: "mongodb", url: database.url, database: database.name, images: { after } };
      const config = { bus: { servers: nats.url, fsync: "always" as const }, sources: { shop: source } };
      let load: ReturnType<typeof writing> | undefined;
      for (const [life, nth] of kills.entries()) {
        await using worker = new CrashingWorker({ config, crash: { point: "mid-backfill-chunk", nth } });
        if (life === 0) {
          await waitFor(() => newestOf(nats.url, "meta.shop.history"), { what: "the first start", timeoutMs: 60_000 });
          load = writing(client, database, seed);
          await orderBackfill(nats.url);
        }
        expect(await worker.ended()).toBe("SIGKILL");
      }
      await using last = new CrashingWorker({ config, crash: undefined });
      await waitFor(async () => (await newestProgress(nats.url))?.state === "completed", {
        ...{ what: "the copy to be complete", timeoutMs: 60_000 },
      });
      const written = await load?.stop();
      await db.collection("final").insertOne({ v: 1 });
      await waitFor(() => newestOf(nats.url, `cdc.shop.${database.name}.final.>`), {
        ...{ what: "the stream to hold all" },
      });
      const state = new CopiedDocuments(await readStream(nats.url, "CDC_SHOP"));
      expect(await last.stop()).toBe(0);

      expect(state.wrong).toEqual([]);
      for (const name of COLLECTIONS) {
        const documents = await db.collection(name).find().toArray();
        const held = documents.map((document) => JSON.parse(delivered(document)) as { readonly _id: unknown });
        const byKey = held.map((document) => [JSON.stringify({ _id: document._id }), document] as const);
        expect(state.documents(name), name).toEqual(Object.fromEntries(byKey));
      }
      expect(state.progress).toMatchObject({ backfill: 1, rows: state.reads });
      expect(state.reads).toBeGreaterThan((COLLECTIONS.length * DOCUMENTS) / 2);
      expect(written).toBeGreaterThan(20);
    },
  );
});
