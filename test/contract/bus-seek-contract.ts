// The part of the bus contract about durables that a seek leaves.

import { describe, expect, test } from "vitest";
import { place, transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";
import { placeOf, subscriber } from "./consuming.ts";

export function busSeekContract(ground: BusGround): void {
  const { freshSource, bus, writer: open, when } = ground;
  const subscribe = subscriber(ground);

  describe("durables of an automation behind a seek", () => {
    test("hand out under the name of their run, whatever the others have settled, which can be taken away", async () => {
      const source = freshSource();
      const writer = await open(source);
      await writer.write([10, 20].flatMap((final) => transaction(source, final)));
      await when(writer.flush(10_000));
      const before = await subscribe(source, { durable: "mail", start: "earliest" });
      const first = await before.next();
      await when(first.ack());
      const other = await subscribe(source, { durable: "mail-two", start: "earliest" });
      await when((await other.next()).ack());

      const behind = await subscribe(source, { durable: "mail_s1", run: "seek-1", start: "earliest" });
      const again = await behind.next();
      expect([placeOf(again), again.run, first.run]).toEqual([place(10), "seek-1", undefined]);
      const anyBus = await bus();
      await when(anyBus.forgetOlder(source, "mail_s1"));
      await when(again.ack());
      await when(anyBus.forgetOlder(source, "mail_s1")); // what is not there is fine

      // Made again it would go on behind what it had settled, were anything of it left.
      const anew = await subscribe(source, { durable: "mail", start: "earliest" });
      expect(placeOf(await anew.next())).toBe(place(10));
      expect(placeOf(await other.next())).toBe(place(20));
    });
  });
}
