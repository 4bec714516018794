// The part of the bus contract about ordered subscriptions: one of them is handed something, and knows when it has all in hand.

import { describe, expect, test } from "vitest";
import type { Delivery, OrderedConsuming } from "../../src/bus/subscription.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { place, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";
import { type Consumer, placeOf, subscriber } from "./consuming.ts";

const ackWaitMs = 1500;

/** What a test has in hand. */
class Hand implements OrderedConsuming {
  readonly most = 4;
  count = 0;
  inHand(): number {
    return this.count;
  }
}

export function busOrderedContract(ground: BusGround): void {
  const { freshSource, bus, writer: open, when, until } = ground;
  const subscribe = subscriber(ground);
  const written = async (count: number): Promise<SourceId> => {
    const source = freshSource();
    const writer = await open(source);
    for (let n = 1; n <= count; n++) await writer.write(transaction(source, 10 * n));
    await when(writer.flush(10_000));
    return source;
  };
  const ordered = async (source: SourceId, hand: Hand): Promise<Consumer> =>
    subscribe(source, { bus: await bus(), ordered: hand, ackWaitMs });

  describe("an ordered subscription", () => {
    test("is whole when all that was handed out is in hand, and is handed no more than may be", async () => {
      const hand = new Hand();
      const { next, subscription, taken } = await ordered(await written(6), hand);
      const deliveries = [await next(), await next(), await next(), await next()];
      expect(subscription.whole).toBeUndefined();
      hand.count = 4;
      await until(() => subscription.whole !== undefined, "all to be in hand");
      expect((await subscription.depth()).unacked).toBe(4);
      expect(taken).toHaveLength(4);
      for (const delivery of deliveries) {
        await when(delivery.ack());
        hand.count--;
      }
      hand.count += 2;

      expect([await next(), await next()].map(placeOf)).toEqual([place(50), place(60)]);
      await until(() => subscription.whole !== undefined, "the rest to be in hand");
    });

    test("is handed nothing while another one is, and goes on with what that one left", async () => {
      const source = await written(2);
      const [first, second] = [new Hand(), new Hand()];
      const one = await ordered(source, first);
      const kept = [await one.next(), await one.next()];
      first.count = 2;
      await until(() => one.subscription.whole !== undefined, "the first one to be whole");
      const other = await ordered(source, second);
      await one.stop();
      // One is still worked on, and nobody has the other one any more.
      const [working] = kept as [Delivery];
      await until(() => {
        working.working();
        return other.taken[0];
      }, "the other one to come again");
      second.count = 1;
      expect(other.taken.map(placeOf)).toEqual([place(20)]);
      expect(other.subscription.whole).toBeUndefined();
      await when(working.ack());
      await until(() => other.subscription.whole !== undefined, "the second one to be whole");
      expect(other.taken).toHaveLength(1);
    });

    test("that lets something go is whole once that has come again", async () => {
      const hand = new Hand();
      const { next, subscription } = await ordered(await written(1), hand);
      const delivery = await next();
      hand.count = 1;
      await until(() => subscription.whole !== undefined, "it to be whole");
      const times = subscription.whole;
      delivery.retry(0);
      hand.count = 0;
      const again = await next();
      hand.count = 1;
      await until(() => subscription.whole !== undefined && subscription.whole !== times, "it to be whole once more");

      expect([again.sequence, again.again]).toEqual([delivery.sequence, true]);
    });
  });
}
