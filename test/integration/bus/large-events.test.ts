// What a subscription has in hand is bounded in bytes, however large the events are, and none is so large that it waits for ever.

import { jetstreamManager } from "@nats-io/jetstream";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import type { Bus } from "../../../src/bus/bus.ts";
import { openJetStreamBus } from "../../../src/bus/jetstream/jetstream-bus.ts";
import { type ConsumeOptions, type Delivery, MOST_BYTES_IN_HAND } from "../../../src/bus/subscription.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const mib = 1024 * 1024;

describe.skipIf(missing("nats"))("events of megabytes", async () => {
  const nats = await freshNats({ config: "max_payload: 48MB\nmax_pending: 128MB", syncInterval: "2m" });
  const stream = await ShopStream.create(nats.url);
  const { consumers } = await jetstreamManager(stream.nc);
  const { signal: never } = new AbortController();
  const bus: Bus = await openJetStreamBus({
    ...{ servers: [nats.url], replicas: 1, fsync: 120_000, log: silentLogger, signal: never },
  });
  afterAll(async () => {
    for (const closing of [bus, stream]) await closing[Symbol.asyncDispose]();
  });

  const publish = async (collection: string, sizes: readonly number[]): Promise<void> => {
    for (const [nth, size] of sizes.entries())
      await stream.raw(
        `cdc.shop.public.${collection}.created.p00`,
        `ce-id: ${collection}.${nth}\r\n`,
        Buffer.alloc(size),
      );
  };

  /** What is in hand of the events of a collection, the oldest first. */
  async function handOf(collection: string, options: Partial<ConsumeOptions> = {}) {
    const hand: Delivery[] = [];
    const ending = new AbortController();
    const subscription = await bus.consume({
      ...{
        source: "shop" as SourceId,
        durable: collection,
        filters: [`cdc.shop.public.${collection}.>`],
        start: "earliest",
      },
      ...{ minPending: 100, ackWaitMs: 60_000, signal: ending.signal, ...options },
      ...(options.ordered && { ordered: { most: 100, inHand: () => hand.length } }),
    });
    let mostBytes = 0;
    const bytes = (): number => hand.reduce((sum, { data }) => sum + data.length, 0);
    const over = (async () => {
      for await (const deliveries of subscription) {
        hand.push(...deliveries);
        mostBytes = Math.max(mostBytes, bytes());
      }
    })();
    onTestFinished(async () => {
      ending.abort();
      await over;
    });
    return {
      hand,
      mostBytes: () => mostBytes,
      settle: async (): Promise<number> => {
        const delivery = hand.shift();
        await delivery?.ack();
        return delivery?.sequence ?? 0;
      },
      /** When so many are in hand, and the server has nothing that it was asked for. */
      full: async (count: number): Promise<void> => {
        await waitFor(() => hand.length >= count, { what: `${count} to be in hand` });
        const info = () => consumers.info("CDC_SHOP", collection);
        await waitFor(async () => (await info()).num_waiting === 0, { what: "nothing to be asked for" });
        expect([hand.length, (await info()).num_ack_pending]).toEqual([count, count]);
      },
    };
  }

  test("are in hand up to 32 MiB, and the others come as those end", async () => {
    await publish(
      "orders",
      Array.from({ length: 14 }, () => 4 * mib),
    );
    const { hand, full, settle, mostBytes } = await handOf("orders");
    await full(7);
    let settled = 0;
    await waitFor(async () => (hand.length > 0 && (await settle()) && ++settled) === 14, { what: "all of them" });
    expect(mostBytes()).toBeLessThanOrEqual(MOST_BYTES_IN_HAND);
  });

  test("come one alone where there is too little room, beside less than half of what may be", async () => {
    await publish("files", [10, 14 * mib, 30 * mib, 20]);
    const { hand, settle, full } = await handOf("files");
    await full(3);
    expect(hand.map(({ data }) => data.length)).toEqual([10, 14 * mib, 30 * mib]);
    hand.unshift(...hand.splice(2, 1));
    await settle();
    await waitFor(() => hand.length === 3, { what: "the one behind it" });
    expect(hand.map(({ data }) => data.length)).toEqual([10, 14 * mib, 20]);
  });

  test("are bounded too where one worker has them all in hand, in their order", async () => {
    await publish(
      "books",
      Array.from({ length: 14 }, () => 4 * mib),
    );
    const { hand, settle, mostBytes } = await handOf("books", { ordered: { most: 100, inHand: () => 0 } });
    await waitFor(() => hand.length === 7, { what: "as many as there is room for" });
    let settled = 0;
    await waitFor(async () => (hand.length > 0 && (await settle()) && ++settled) === 14, { what: "all of them" });
    expect(mostBytes()).toBeLessThanOrEqual(MOST_BYTES_IN_HAND);
  });
});
