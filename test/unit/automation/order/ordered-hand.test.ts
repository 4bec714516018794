// A hand in order by key, and events of it that another worker may have been handed, and may have settled, meanwhile.

import { expect, onTestFinished, test } from "vitest";
import { automation } from "../../../../src/automation/define/automation.ts";
import { collection } from "../../../../src/automation/define/collection.ts";
import type { LaneDelivery } from "../../../../src/automation/order/lane-delivery.ts";
import { OrderedHand } from "../../../../src/automation/order/ordered-hand.ts";
import { MemoryBus } from "../../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../../src/bus/memory/memory-server.ts";
import type { Delivery, Subscription } from "../../../../src/bus/subscription.ts";
import { realClock } from "../../../../src/clock.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { waitFor } from "../../../support/wait-for.ts";

/** What the bus hands out, as far as the hand asks of it. */
class Handed {
  readonly subject = "cdc.shop.public.orders.created.p00";
  readonly stream = "CDC_SHOP";
  readonly data = new Uint8Array();
  readonly again = false;
  ours = true;
  givenBack = false;
  readonly sequence: number;
  /** The replay that it is part of. */
  readonly run: string | undefined;
  readonly #key: string;

  constructor(sequence: number, key: string, run?: string) {
    this.sequence = sequence;
    this.run = run;
    this.#key = key;
  }

  header(name: string): string | undefined {
    return { "ce-id": `id-${this.sequence}`, "ce-subject": `public.orders/${this.#key}` }[name];
  }

  retry(): void {
    this.givenBack = true;
  }

  working(): void {}

  async ack(): Promise<void> {}
}

/** A hand whose subscription is whole for the first time, and what has begun in it. */
function begunBy() {
  const stop = new AbortController();
  const bus = new MemoryBus({
    server: new MemoryServer(realClock),
    clock: realClock,
    fsync: "always",
    log: silentLogger,
  });
  const begun: { readonly sequence: number; readonly delivery: LaneDelivery; end(): void; free(): void }[] = [];
  const on = collection("shop", "public.orders").created();
  const hand = new OrderedHand({
    automation: automation("ship", { on, order: "key", concurrency: 2 }, () => {}),
    ...{ bus, clock: realClock, signal: stop.signal, ackWaitMs: 6000, source: "shop" as SourceId, durable: "ship" },
    begin: (delivery, { ended, freed }) => {
      begun.push({ sequence: delivery.sequence, delivery, end: ended, free: freed });
    },
    persist: (operation) => operation(),
    failed: (error) => {
      throw error;
    },
    tellGone: async () => {},
  });
  onTestFinished(() => {
    stop.abort();
    hand.retire();
  });
  const subscription = { whole: 1 as number | undefined };
  const take = (...handed: Handed[]): void =>
    hand.take(subscription as Subscription, handed as unknown as readonly Delivery[]);
  const begins = (...sequences: number[]): Promise<unknown> =>
    waitFor(() => begun.map(({ sequence }) => sequence).join() === sequences.join(), { what: `${sequences} to begin` });
  return { hand, subscription, begun, take, begins };
}

/** Of one key, the first event has ended here when it might be another worker's, and the second one waits behind it. */
async function letGoBeforeItsNext() {
  const hand = begunBy();
  const [first, second] = [new Handed(1, "a"), new Handed(2, "a")];
  hand.take(first, second);
  await hand.begins(1);
  first.ours = false;
  hand.subscription.whole = undefined;
  hand.begun[0]?.end();
  return hand;
}

test("what may be another worker's by now does not count as in hand", async () => {
  const { hand, take, begins } = begunBy();
  const [first, second] = [new Handed(1, "a"), new Handed(2, "b")];
  take(first, second);
  await begins(1, 2);
  expect(hand.inHand()).toBe(2);

  first.ours = false;
  expect(hand.inHand()).toBe(1);
});

test("what may be another worker's by now is let go, and not begun", async () => {
  const { hand, subscription, take, begins } = begunBy();
  subscription.whole = undefined;
  const [first, second] = [new Handed(1, "a"), new Handed(2, "b")];
  take(first, second);
  first.ours = false;
  subscription.whole = 1;
  take();
  await begins(2);

  expect(first.givenBack).toBe(true);
  expect(hand.counts().held).toBe(1);
});

test("a key goes on when all is in hand without the event that was let go before it: another worker has settled that one", async () => {
  const { subscription, take, begins } = await letGoBeforeItsNext();
  take();
  await begins(1);

  subscription.whole = 2;
  take();
  await begins(1, 2);
});

test("a key waits for the event that was let go before it while not all is in hand, and until it has come again", async () => {
  const { subscription, take, begins } = await letGoBeforeItsNext();
  take(new Handed(1, "a"));
  subscription.whole = 2;
  take();

  await begins(1, 1);
});

test("the next of a key that has many events begins before what has come later, of other keys", async () => {
  const { begun, take, begins } = begunBy();
  take(...[1, 2, 3].map((sequence) => new Handed(sequence, "hot")));
  take(...[4, 5, 6, 7, 8, 9].map((sequence) => new Handed(sequence, `cold ${sequence}`)));
  await begins(1, 4, 5, 6);
  for (const nth of [0, 4]) {
    await begun[nth]?.delivery.ack();
    begun[nth]?.end();
  }
  await begins(1, 4, 5, 6, 2, 3);
});

test("another event begins once a handler has ended, before the bus has confirmed what became of it", async () => {
  const { begun, take, begins } = begunBy();
  take(...[1, 2, 3, 4, 5, 6].map((sequence) => new Handed(sequence, `key ${sequence}`)));
  await begins(1, 2, 3, 4);
  begun[1]?.free();
  await begins(1, 2, 3, 4, 5);
  begun[1]?.end();
  begun[0]?.end();
  await begins(1, 2, 3, 4, 5, 6);
});

test("a replay takes its turn behind what was in hand when it came", async () => {
  const { hand, begun, take, begins } = begunBy();
  take(...[11, 12, 13, 14, 15].map((sequence) => new Handed(sequence, `key ${sequence}`)));
  await begins(11, 12, 13, 14);
  hand.takeCarried(new Handed(1, "key 1", "again") as unknown as Delivery);
  for (const nth of [0, 1]) begun[nth]?.free();
  await begins(11, 12, 13, 14, 15, 1);
});
