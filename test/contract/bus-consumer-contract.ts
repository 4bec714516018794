// The part of the bus contract about the durable of an automation: what it hands out, and where it begins and goes on.

import { describe, expect, test } from "vitest";
import type { Delivery } from "../../src/bus/subscription.ts";
import { TransientError } from "../../src/errors.ts";
import { messageMaker, ordersCreated } from "../support/bus/encoded.ts";
import { place, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";
import { placeOf, subscriber } from "./consuming.ts";

export function busConsumerContract(ground: BusGround): void {
  const { freshSource, bus, writer: open, writerOn, stored, when, until, clock } = ground;
  const subscribe = subscriber(ground);

  describe("a durable", () => {
    test("hands out what is there and what comes, in order and as it was stored, and only what its filters let through", async () => {
      const source = freshSource();
      const writer = await open(source);
      const make = messageMaker(source);
      const deleted = { ...ordersCreated, op: "deleted" as const };
      const change = { key: "1", transaction: "20", position: place(20) };
      await writer.write([...transaction(source, 10, 2), make({ ...change, kind: deleted })]);
      const filters = [`cdc.${source}.public.*.created.>`, `cdc.${source}.*.deleted.p00`];
      const { next, taken } = await subscribe(source, { filters });
      await next();
      await next();
      await writer.write(transaction(source, 30));
      await next();
      const stream = (await stored(source)).filter(({ subject }) => subject.includes(".created."));

      expect(stream).toHaveLength(3);
      for (const [at, { sequence, subject, text, header }] of stream.entries()) {
        const delivery = taken[at];
        expect([delivery?.sequence, delivery?.subject]).toEqual([sequence, subject]);
        expect(Buffer.from(delivery?.data ?? []).toString()).toBe(text);
        for (const name of ["ce-id", "Cdc-Pos", "Cdc-Tx", "Cdc-Tx-Last", "Cdc-Prev", "no-such"])
          expect(delivery?.header(name)).toBe(header(name));
        expect(delivery?.headers()).toMatchObject({ "ce-id": header("ce-id"), "Cdc-Pos": header("Cdc-Pos") });
        expect([delivery?.again, delivery?.remade, delivery?.ours]).toEqual([false, false, true]);
      }
      expect(taken).toHaveLength(3);
    });

    test.each([
      ["earliest", 10],
      ["now", 40],
      [3, 20], // behind the writer's marker
    ] as const)("begins at %s", async (start, first) => {
      const source = freshSource();
      const writer = await open(source);
      await writer.write([10, 20, 30].flatMap((final) => transaction(source, final)));
      await when(writer.flush(10_000));
      const { next } = await subscribe(source, { start });
      await writer.write(transaction(source, 40));

      expect(placeOf(await next())).toBe(place(first));
    });

    test("begins at what was stored at a time or later, and stays there when it is subscribed to again by another time", async () => {
      const source = freshSource();
      const writer = await open(source);
      const passed = async (ms: number): Promise<void> => void (await until(() => clock.wall() > ms, "time to pass"));
      await writer.write(transaction(source, 10));
      await when(writer.flush(10_000));
      await passed(clock.wall());
      const between = new Date(clock.wall());
      await passed(clock.wall());
      await writer.write(transaction(source, 20));
      await when(writer.flush(10_000));
      await passed(clock.wall());
      const { next, stop } = await subscribe(source, { start: between });
      const first = await next();
      await when(first.ack());
      await stop();
      const behind = await subscribe(source, { durable: "late", start: new Date(clock.wall()) });
      await writer.write(transaction(source, 30));
      const again = await subscribe(source, { start: new Date(0) });

      expect(placeOf(first)).toBe(place(20));
      expect(placeOf(await behind.next())).toBe(place(30));
      expect(placeOf(await again.next())).toBe(place(30));
    });

    test("goes on where it stood, whoever subscribes and wherever that one would start", async () => {
      const source = freshSource();
      const writer = await open(source);
      await writer.write([...transaction(source, 10), ...transaction(source, 20)]);
      const first = await subscribe(source, { minPending: 1 });
      await when((await first.next()).ack());
      const held = await first.next();
      await first.stop();
      await when(held.ack());
      await writer.write(transaction(source, 30));

      for (const start of ["earliest", "now", 1] as const) {
        const other = await subscribe(source, { start });
        const third = await other.next();
        expect(placeOf(third)).toBe(place(30));
        await other.stop(); // first, or it is handed out to this one once more
        third.retry(0);
      }
    });

    test("waits for a stream that is not there yet, all of which is new to it then", async () => {
      const source = freshSource();
      let waits = 0;
      const subscribing = subscribe(source, { start: "now", waiting: () => waits++ });
      await until(() => waits === 1, "the bus to say that there is none");
      const writer = await open(source);
      await writer.write(transaction(source, 10));

      expect(placeOf(await (await subscribing).next())).toBe(place(10));
      await subscribe(source, { durable: "other", waiting: () => waits++ });
      expect(waits).toBe(1);
    });

    test("is waited for no longer than the signal lets it", async () => {
      const stop = new AbortController();
      const options = { durable: "mail", filters: [">"], start: "now", minPending: 1, ackWaitMs: 1000 } as const;
      const consuming = (await bus()).consume({ ...options, source: freshSource(), signal: stop.signal });
      stop.abort();

      await expect(when(consuming)).rejects.toThrow();
    });

    test("gives each event to one of the workers that subscribe to it", async () => {
      const source = freshSource();
      const writer = await open(source);
      const consumers = [await subscribe(source, { minPending: 2 }), await subscribe(source, { minPending: 2 })];
      const finals = Array.from({ length: 12 }, (_, n) => 10 * (n + 1));
      await writer.write(finals.flatMap((final) => transaction(source, final)));
      const taken = () => consumers.flatMap((consumer) => consumer.taken);
      for (const acked = new Set<Delivery>(); acked.size < finals.length; ) {
        const delivery = await until(() => taken().find((one) => !acked.has(one)), "another event");
        await when(delivery.ack());
        acked.add(delivery);
      }

      expect(taken().map(placeOf).sort()).toEqual(finals.map((final) => place(final)));
    });

    test("tells how many wait, are out, and up to where all is settled", async () => {
      const source = freshSource();
      const writer = await open(source);
      await writer.write([10, 20, 30].flatMap((final) => transaction(source, final)));
      const { subscription, next } = await subscribe(source, { minPending: 2 });
      const [first, second] = [await next(), await next()];

      expect(await subscription.depth()).toEqual({ pending: 1, unacked: 2 });
      expect(subscription.settledThrough()).toBe(0);
      await when(first.ack());
      const third = await next();
      expect(await subscription.missed()).toBeUndefined();
      expect(subscription.settledThrough()).toBe(first.sequence);
      await when(third.ack());
      await subscription.missed();
      expect(subscription.settledThrough()).toBe(first.sequence);
      await when(second.ack());
      await subscription.missed();
      expect(subscription.settledThrough()).toBe(third.sequence);
      expect([subscription.madeAgain, subscription.obstacle()]).toEqual([undefined, undefined]);
    });

    test("ends for a worker whose bus is closed, and for nobody else", async () => {
      const source = freshSource();
      const [mine, others] = [await bus(), await bus()];
      const writer = await writerOn(others, source);
      const ending = await subscribe(source, { bus: mine });
      await mine[Symbol.asyncDispose]();

      await expect(when(ending.ended)).rejects.toBeInstanceOf(TransientError);
      await expect(when(mine.state.get("a"))).rejects.toBeInstanceOf(TransientError);
      await expect(when(subscribe(source, { bus: mine }))).rejects.toBeInstanceOf(TransientError);
      expect([mine.connected(), others.connected()]).toEqual([false, true]);
      const { next } = await subscribe(source, { bus: others });
      await writer.write(transaction(source, 10));
      expect(placeOf(await next())).toBe(place(10));
    });
  });
}
