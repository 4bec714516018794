// The part of the bus contract about writers that end, wait and take over.

import { describe, expect, test } from "vitest";
import { FencedError } from "../../src/errors.ts";
import { brokenLinks, place, positionsOf, reached, transaction } from "../support/postgres/transactions.ts";
import { type BusGround, quick } from "./bus-ground.ts";

export function busHandoverContract({ freshSource, writer: open, events, ...ground }: BusGround): void {
  const { bus, standing, writerOn, until, when, clock } = ground;
  describe("a writer that goes on", () => {
    test("after a clean end knows the newest place, and writes under a new lease", async () => {
      const source = freshSource();
      const first = await open(source);
      await first.write(transaction(source, 10, 3));
      await events(source, 3);
      await first[Symbol.asyncDispose]();
      const second = await open(source);
      await second.write(transaction(source, 20, 2));
      const stream = await events(source, 5);

      expect(second.resume).toEqual(reached(place(10, 2)));
      expect(second.lease).toBeGreaterThan(first.lease);
      expect(brokenLinks(stream)).toEqual([]);
    });

    test("after an end inside a transaction knows that place", async () => {
      const source = freshSource();
      const first = await open(source);
      await first.write(transaction(source, 10, 1200, { whole: false }));
      await events(source, 1000);
      await first[Symbol.asyncDispose]();

      expect((await open(source)).resume).toEqual(reached(place(10, 999, false)));
    });
  });

  describe("a second writer", () => {
    test("waits for the lease, says who holds it, and takes it when it is given back", async () => {
      const source = freshSource();
      const first = await open(source);
      await first.write(transaction(source, 10));
      await events(source, 1);
      const waiting: number[] = [];
      let taken = false;
      const opening = (await bus()).stream(source).openWriter(new AbortController().signal, {
        waiting: (lease) => waiting.push(lease),
      });
      const second = opening.finally(() => {
        taken = true;
      });
      await until(() => waiting.length > 0, "the second one to wait");

      expect(taken).toBe(false);
      expect(waiting).toEqual([first.lease]);
      await first[Symbol.asyncDispose]();
      await using writer = await when(second);
      expect(writer.resume).toEqual(reached(place(10)));
    });

    test("waits no longer than its signal lets it", async () => {
      const source = freshSource();
      await open(source);
      const stop = new AbortController();
      const opening = (await bus()).stream(source).openWriter(stop.signal, { waiting: () => stop.abort() });

      await expect(when(opening)).rejects.toThrow();
    });

    test("takes over from one that stands still after the lease's time, and that one writes and saves nothing more", async () => {
      const source = freshSource();
      const worker = await standing();
      const first = await writerOn(worker.bus, source);
      const failed = first.failed.catch((error: unknown) => error);
      await first.write(transaction(source, 10));
      const mark = await first.nextMark();
      await events(source, 1);
      worker.standStill();
      const stoppedAt = clock.now();
      const second = await open(source);
      const waitedMs = clock.now() - stoppedAt;
      await second.write(transaction(source, 20, 2));
      await second.save(await second.nextMark());
      await worker.goOn();

      // The time runs from the first one's last renewal, which the second one sees some time later.
      expect(waitedMs).toBeGreaterThan(quick.leaseTtlMs / 2);
      expect(await when(failed)).toBeInstanceOf(FencedError);
      await expect(first.save(mark)).rejects.toBeInstanceOf(FencedError);
      await expect(first.write(transaction(source, 30))).resolves.toBeUndefined();
      await second.write(transaction(source, 40));
      const stream = await events(source, 4);
      expect(positionsOf(stream)).toEqual([place(10), place(20, 0, false), place(20, 1), place(40)]);
      expect(brokenLinks(stream)).toEqual([]);
    });
  });
}
