// The part of the bus contract about what becomes of a delivery: settled, given back, kept alive, or lost to another worker.

import { describe, expect, test } from "vitest";
import type { SourceId } from "../../src/event/source-id.ts";
import { place, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";
import { placeOf, subscriber } from "./consuming.ts";

const ackWaitMs = 1000;

export function busDeliveryContract(ground: BusGround): void {
  const { freshSource, bus, writer: open, when, until, clock } = ground;
  const subscribe = subscriber(ground);
  /** A source with so many events. */
  const written = async (count: number): Promise<SourceId> => {
    const source = freshSource();
    const writer = await open(source);
    for (let n = 1; n <= count; n++) await writer.write(transaction(source, 10 * n));
    await when(writer.flush(10_000));
    return source;
  };

  describe("a delivery", () => {
    test.each(["ack", "terminate"] as const)("is settled for good by %s", async (how) => {
      const source = await written(1);
      const { next, subscription } = await subscribe(source);
      const delivery = await next();
      expect(await subscription.depth()).toEqual({ pending: 0, unacked: 1 });
      await when(how === "ack" ? delivery.ack() : delivery.terminate("told elsewhere"));

      expect(await subscription.depth()).toEqual({ pending: 0, unacked: 0 });
    });

    test("comes again when it was given back, not before its time, and holds up no other meanwhile", async () => {
      const source = await written(2);
      const { next } = await subscribe(source, { minPending: 1 });
      const first = await next();
      const givenBackAt = clock.now();
      first.retry(700);
      const other = await next();
      expect([placeOf(other), other.again]).toEqual([place(20), false]);
      await when(other.ack());
      const again = await next();

      expect(clock.now() - givenBackAt).toBeGreaterThanOrEqual(700);
      expect([placeOf(again), again.again, again.ours]).toEqual([place(10), true, true]);
    });

    test("stands at its sequence, also once it is settled", async () => {
      const { next } = await subscribe(await written(1));
      const delivery = await next();
      expect(await when(delivery.stands())).toBe(true);
      await when(delivery.ack());

      expect(await when(delivery.stands())).toBe(true);
    });

    test("names the one right before it where both are new, and no other one is handed out in between", async () => {
      const source = await written(3);
      const { next } = await subscribe(source);
      const [first, second, third] = [await next(), await next(), await next()];
      expect([first, second, third].map(({ follows }) => follows)).toEqual([
        undefined,
        first.sequence,
        second.sequence,
      ]);
      second.retry(0);

      expect((await next()).follows).toBeUndefined();
    });

    test("names none before it where that one went to another worker", async () => {
      const source = await written(3);
      const here = await subscribe(source, { minPending: 1 });
      const first = await here.next();
      const other = await (await subscribe(source, { minPending: 1 })).next();
      await when(first.ack());
      const third = await here.next();

      expect([placeOf(other), placeOf(third)]).toEqual([place(20), place(30)]);
      expect([other.follows, third.follows]).toEqual([undefined, undefined]);
    });

    test("comes again at once when it was given back for now", async () => {
      const { next } = await subscribe(await written(1));
      (await next()).retry(0);

      expect((await next()).again).toBe(true);
    });

    test("is one of no more than may be out at once", async () => {
      const source = await written(5);
      const { next, taken, subscription } = await subscribe(source, { minPending: 2 });
      for (let settled = 0; settled < 5; settled++) {
        const delivery = await next();
        expect((await subscription.depth()).unacked).toBeLessThanOrEqual(2);
        expect(taken.length - settled).toBeLessThanOrEqual(2);
        await when(delivery.ack());
      }

      expect(taken.map(placeOf)).toEqual([10, 20, 30, 40, 50].map((final) => place(final)));
    });

    test("is settled after the subscription ended, too", async () => {
      const source = await written(1);
      const consumer = await subscribe(source);
      const delivery = await consumer.next();
      await consumer.stop();
      await when(delivery.ack());

      expect(await (await subscribe(source)).subscription.depth()).toEqual({ pending: 0, unacked: 0 });
    });

    test("that gives no sign of life in time is another's, and letting it go takes it from nobody", async () => {
      const source = await written(1);
      const first = await (await subscribe(source, { minPending: 1, ackWaitMs })).next();
      const handedOutAt = clock.now();
      const { next, subscription } = await subscribe(source, { minPending: 1, ackWaitMs });
      const others = await next();
      // The server's time begins when it hands out, which we see a little later.
      expect(clock.now() - handedOutAt).toBeGreaterThan(ackWaitMs / 2);

      expect([placeOf(others), others.again, others.ours]).toEqual([place(10), true, true]);
      expect(first.ours).toBe(false);
      first.working();
      expect(first.ours).toBe(false);
      first.retry(0);
      expect(await subscription.depth()).toEqual({ pending: 0, unacked: 1 });
      await when(others.ack());
      expect(await subscription.depth()).toEqual({ pending: 0, unacked: 0 });
    });

    test("of a worker whose bus is closed is another's in time, whatever that one says of it", async () => {
      const source = await written(1);
      const ending = await bus();
      const first = await (await subscribe(source, { bus: ending, minPending: 1, ackWaitMs })).next();
      const other = await subscribe(source, { minPending: 1, ackWaitMs });
      await ending[Symbol.asyncDispose]();
      const closedAt = clock.now();
      await until(() => {
        first.working();
        return other.taken.length > 0;
      }, "it to come to the other one");

      expect(clock.now() - closedAt).toBeLessThan(10 * ackWaitMs);
      expect(other.taken[0]?.again).toBe(true);
    });

    test("that is let go too late comes again as if it had not been", async () => {
      const { next } = await subscribe(await written(1), { minPending: 1, ackWaitMs });
      const delivery = await next();
      const handedOutAt = clock.now();
      await until(() => !delivery.ours, "its time to pass");
      delivery.retry(20 * ackWaitMs);

      expect((await next()).again).toBe(true);
      expect(clock.now() - handedOutAt).toBeLessThan(20 * ackWaitMs);
    });

    test("stays ours for as long as it is said to be worked on", async () => {
      const source = await written(1);
      const first = await (await subscribe(source, { minPending: 1, ackWaitMs })).next();
      const other = await subscribe(source, { minPending: 1, ackWaitMs });
      const handedOutAt = clock.now();
      await until(() => {
        expect(first.ours).toBe(true);
        first.working();
        return clock.now() - handedOutAt > 2 * ackWaitMs;
      }, "twice its time");
      expect(other.taken).toEqual([]);

      expect((await other.next()).again).toBe(true);
      expect(first.ours).toBe(false);
    });

    test("that is not ours any more is handed out to us once more, where we wait for that", async () => {
      const source = await written(1);
      const { next, taken, subscription } = await subscribe(source, { minPending: 1, ackWaitMs });
      const delivery = await next();
      expect(await delivery.regained(0)).toBe(true);
      await until(() => !delivery.ours, "its time to pass");

      expect(await when(delivery.regained(10 * ackWaitMs))).toBe(true);
      expect([delivery.ours, delivery.again, taken.length]).toEqual([true, true, 1]);
      await when(delivery.ack());
      expect(await subscription.depth()).toEqual({ pending: 0, unacked: 0 });
    });

    test("that another worker has by then is not regained", async () => {
      const source = await written(1);
      const first = await (await subscribe(source, { minPending: 1, ackWaitMs })).next();
      await (await subscribe(source, { minPending: 1, ackWaitMs })).next();

      expect(await when(first.regained(ackWaitMs / 2))).toBe(false);
    });

    test("of a subscription that is over goes on with the right of the one that comes after it", async () => {
      const source = await written(1);
      const worker = await bus();
      const before = await subscribe(source, { bus: worker, ackWaitMs });
      const older = await before.next();
      await before.stop();
      const after = await subscribe(source, { bus: worker, ackWaitMs });
      const newer = await after.next();
      newer.succeed(older);

      expect([older.ours, older.again]).toEqual([true, true]);
      await when(older.ack());
      expect(await after.subscription.depth()).toEqual({ pending: 0, unacked: 0 });
    });
  });
}
