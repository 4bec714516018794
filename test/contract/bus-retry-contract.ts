// The part of the bus contract about MILLRACE_RETRY: what is to reach one automation later, or once more.

import { describe, expect, test } from "vitest";
import type { RetryMessage } from "../../src/event/retry-message.ts";
import { retryId, streamName } from "../../src/event/source-id.ts";
import { transaction } from "../support/postgres/transactions.ts";
import type { BusGround } from "./bus-ground.ts";
import { subscriber } from "./consuming.ts";

let automations = 0;

export function busRetryContract(ground: BusGround): void {
  const { bus, freshSource, writer: open, when } = ground;
  const subscribe = subscriber(ground);
  const freshAutomation = (): string => `late-${++automations}`;
  const message = (automation: string, parts: Partial<RetryMessage> = {}): RetryMessage => ({
    automation,
    stream: "CDC_SHOP",
    sequence: 41,
    subject: "cdc.shop.public.orders.created.p07",
    headers: { "ce-id": "shop.41", "ce-subject": "public.orders/%7B%7D", "Nats-Expected-Last-Sequence": "40" },
    data: Uint8Array.from([0x7b, 0xff, 0x00, 0x7d]),
    attempts: 2,
    firstAt: 1_700_000_000_000,
    lastError: { name: "Error", message: "öl\r\nis out", code: "E_OIL" },
    dueAt: 1_700_000_200_000,
    ...parts,
  });
  const waiting = (automation: string) =>
    subscribe(retryId, { durable: automation, filters: [`retry.${automation}`], minPending: 4 });
  /** How many messages wait for it, in hand or not. */
  const stored = async (automation: string): Promise<number> => {
    const { subscription, stop } = await waiting(automation);
    const { pending, unacked } = await when(subscription.depth());
    await stop();
    return pending + unacked;
  };

  describe("what is to reach an automation later", () => {
    test("waits for a durable that does not exist yet, and is handed out as the event where it stands, to no other", async () => {
      const [mine, others] = [freshAutomation(), freshAutomation()];
      const worker = await bus();
      await when(worker.later(message(others)));
      await when(worker.later(message(mine)));
      const { next, taken } = await waiting(mine);
      const delivery = await next();

      const { stream, sequence, subject, run, data, carried, again } = delivery;
      expect({ stream, sequence, subject, run, again }).toEqual({
        stream: "CDC_SHOP",
        sequence: 41,
        subject: "cdc.shop.public.orders.created.p07",
        run: undefined,
        again: false,
      });
      expect(Buffer.from(data)).toEqual(Buffer.from([0x7b, 0xff, 0x00, 0x7d]));
      expect(delivery.headers()).toEqual(message(mine).headers);
      expect(delivery.header("ce-subject")).toBe("public.orders/%7B%7D");
      expect(carried).toMatchObject({
        attempts: 2,
        firstAt: 1_700_000_000_000,
        lastError: { name: "Error", message: "öl\r\nis out", code: "E_OIL" },
        dueAt: 1_700_000_200_000,
        bodyElsewhere: false,
      });
      expect(taken).toHaveLength(1);
      await when(delivery.ack());
    });

    test("is stored once for each event, run and count of attempts, whoever stores it", async () => {
      const automation = freshAutomation();
      const [one, other] = [await bus(), await bus()];
      await when(one.later(message(automation)));
      await when(other.later(message(automation)));
      for (const another of [{ attempts: 3 }, { run: "again" }, { sequence: 42 }, { stream: "CDC_STORE" }])
        await when(one.later(message(automation, another)));

      expect(await stored(automation)).toBe(5);
    });

    test("is gone once it is acked, and not before", async () => {
      const automation = freshAutomation();
      const worker = await bus();
      await when(worker.later(message(automation)));
      const { next } = await waiting(automation);
      const delivery = await next();
      const at = delivery.carried?.at ?? 0;
      delivery.retry(500);
      expect((await when(worker.read(retryId, at)))?.subject).toBe(`retry.${automation}`);
      const again = await next();
      expect([again.again, again.carried?.at]).toEqual([true, at]);
      await when(again.ack());

      expect(await when(worker.read(retryId, at))).toBeUndefined();
      expect(await stored(automation)).toBe(0);
    });

    test("holds up nothing while it waits, however much does", async () => {
      const automation = freshAutomation();
      const worker = await bus();
      const count = 3000; // more than an automation's other durables may have out
      for (let first = 1; first <= count; first += 100) {
        const some = Array.from({ length: 100 }, (_, n) => worker.later(message(automation, { sequence: first + n })));
        await when(Promise.all(some));
      }
      const { taken, subscription } = await waiting(automation);
      let given = 0;
      await ground.until(
        () => {
          for (; given < taken.length; given++) taken[given]?.retry(600_000);
          return subscription.depth().then(({ pending, unacked }) => pending === 0 && unacked === count);
        },
        "all to be given back for later",
        50_000,
      );
      await when(worker.later(message(automation, { sequence: count + 1 })));
      const next = await ground.until(() => taken[count], "the one behind them");

      expect(next.sequence).toBe(count + 1);
    });

    test("leaves a body behind that is too large to come along", async () => {
      const automation = freshAutomation();
      const worker = await bus();
      const data = new Uint8Array(worker.stream(freshSource()).maxMessageBytes);
      await when(worker.later(message(automation, { data })));
      const delivery = await (await waiting(automation)).next();
      expect([delivery.data.length, delivery.carried?.bodyElsewhere]).toEqual([0, true]);
      delivery.withBody?.(data);

      expect(Buffer.compare(delivery.data, data)).toBe(0);
    });
  });

  describe("a message read by its number", () => {
    test("is as it was stored; where there is none, nothing is", async () => {
      const source = freshSource();
      const worker = await bus();
      expect(await when(worker.read(source, 1))).toBeUndefined();
      const writer = await open(source);
      await writer.write(transaction(source, 10));
      await when(writer.flush(10_000));
      const { next } = await subscribe(source);
      const delivery = await next();
      const found = await when(worker.read(source, delivery.sequence));

      expect(found?.headers?.()).toEqual(delivery.headers());
      expect(Buffer.from(found?.data ?? [])).toEqual(Buffer.from(delivery.data));
      expect([found?.subject, found?.sequence]).toEqual([delivery.subject, delivery.sequence]);
      expect(found?.header("ce-id")).toBe(delivery.header("ce-id"));
      expect([delivery.stream, delivery.run, delivery.carried]).toEqual([streamName(source), undefined, undefined]);
      expect(await when(worker.read(source, delivery.sequence + 100))).toBeUndefined();
    });
  });
}
