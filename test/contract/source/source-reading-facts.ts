// The part of the source contract about a reading: how it ends, how much it hands out at once, and how little it reads ahead.

import { describe, expect, test } from "vitest";
import { ConfigError, HistoryLostError, TransientError } from "../../../src/errors.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import { contextOf, type SourceGround } from "./source-ground.ts";

const other = "other" as SourceId;

export function sourceReadingFacts({ shop: fresh, open, until, when, server, clock }: SourceGround): void {
  describe("a reading", () => {
    test("ends by the signal, without an error: before it begins, while it waits, and while nobody pulls", async () => {
      const shop = await fresh();
      const opened = await open(shop);
      const before = opened.read();
      before.abort();
      expect(await when(before.ended)).toBeUndefined();

      const waiting = opened.read();
      await until(() => waiting.started, "the database to agree");
      await shop.commitSome();
      await until(() => waiting.changes.length === shop.keys.flat().length, "all changes");
      const abortedAt = clock.now();
      waiting.abort();
      expect(await when(waiting.ended)).toBeUndefined();
      expect(clock.now() - abortedAt).toBeLessThan(10_000);

      await opened.close();
      const held = (await open(shop, opened.memory)).read();
      held.hold();
      await until(() => held.chunks.length > 0, "the first chunk");
      held.abort();
      held.goOn();
      expect(await when(held.ended)).toBeUndefined();
    });

    test("that is cut, or whose source is closed, ends with a TransientError, and another one goes on", async () => {
      const shop = await fresh();
      const opened = await open(shop);
      const first = opened.read();
      await until(() => first.started, "the database to agree");
      await shop.commitSome();
      await until(() => first.changes.length === shop.keys.flat().length, "all changes");
      await shop.database.cut();
      expect(await when(first.ended)).toBeInstanceOf(TransientError);
      await shop.commitSome();

      await opened.close();
      const again = await open(shop, opened.memory);
      const second = again.read(first.reached);
      await until(() => second.over || second.changes.length >= shop.keys.flat().length / 2, "the rest");
      expect(second.over).toBe(false);
    });

    test("hands out bounded chunks, however large a transaction is", async () => {
      const shop = await fresh();
      const reading = (await open(shop)).read();
      await until(() => reading.started, "the database to agree");
      await shop.commit(0, 100, "x".repeat(100_000));
      await until(() => reading.changes.length === 100, "the rows", 30_000);

      const sizes = reading.chunks.map(bytesOf);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(server.bounds.chunkBytes + 200_000);
      expect(sizes.filter((bytes) => bytes > 0).length).toBeGreaterThan(1);
    });

    test("reads no more ahead of who pulls slowly than a bounded number of bytes", async () => {
      const shop = await fresh();
      const reading = (await open(shop)).read();
      await until(() => reading.started, "the database to agree");
      reading.hold();
      const { database } = shop;
      const before = await database.sentBytes();
      for (let nth = 0; nth < 8; nth++) await shop.commit(0, 50, "x".repeat(100_000));
      let sent = -1;
      // Until it stands still.
      await until(async () => {
        const now = (await database.sentBytes()) - before;
        const still = now === sent && now > 0;
        sent = now;
        await clock.sleep(300);
        return still;
      }, "the reader to stop reading");
      expect(sent).toBeLessThan(server.bounds.aheadBytes);
      expect(server.bounds.aheadBytes).toBeLessThan(40_000_000);

      reading.goOn();
      await until(() => reading.changes.length === 400, "the rest", 30_000);
    });
  });

  describe("a connector", () => {
    test.each(server.wrong)("refuses a wrong section, by the path of what is wrong: %o", (section, path) => {
      const parsing = (): unknown => server.connector.parse(section, "sources.shop");
      expect(parsing).toThrow(ConfigError);
      expect(parsing).toThrow(`sources.shop${path}`);
    });

    test("says of a database that does not answer, whatever it is asked, that it is away", async () => {
      const { connector } = server;
      const config = connector.parse(server.nowhere(), "sources.other");
      const asked: (() => Promise<unknown>)[] = [
        () => connector.preflight(other, config, contextOf({ value: undefined })),
        () => connector.open(other, config, contextOf({ value: undefined }), { newest: async () => undefined }),
        () => connector.collections(other, config),
        async () => {
          await using probe = connector.watch(other, config, { saved: async () => undefined });
          return await probe.look(undefined);
        },
      ];
      for (const ask of asked) {
        const error = await when(ask().catch((thrown: unknown) => thrown));
        expect(error, String(ask)).toBeInstanceOf(TransientError);
        expect(error).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/), hint: expect.any(String) });
      }
    });

    test("takes another database, with what was saved of the first one, for what it is", async () => {
      const [mine, others] = [await fresh(), await fresh()];
      const opened = await open(mine);
      const reading = opened.read();
      await until(() => reading.started, "the database to agree");
      await opened.close();
      const saved = opened.memory.value ?? expect.unreachable("nothing is on record of a source that has begun");
      const { connector } = server;
      const config = (of: typeof mine): unknown => connector.parse(of.database.section(), "sources.shop");

      await when(connector.recognise(mine.id, config(mine), saved));
      await when(connector.preflight(mine.id, config(mine), contextOf(opened.memory)));
      for (const ask of [
        () => connector.recognise(mine.id, config(others), saved),
        () => connector.preflight(mine.id, config(others), contextOf(opened.memory)),
      ]) {
        const error = await when(ask().catch((thrown: unknown) => thrown));
        expect(error instanceof HistoryLostError || error instanceof ConfigError, String(error)).toBe(true);
      }
      expect(opened.memory.value).toEqual(saved);
    });
  });
}

function bytesOf(chunk: readonly SourceMessage[]): number {
  return chunk.reduce((sum, message) => sum + ("data" in message ? message.data.length : 0), 0);
}
