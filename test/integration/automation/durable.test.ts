// What becomes of an automation whose durable somebody deletes, makes again, changes or pauses. On a real nats-server.

import { type ConsumerConfig, DeliverPolicy, jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import type { Handler, HandlerContext } from "../../../src/automation/define/automation.ts";
import type { CreatedEvent } from "../../../src/automation/define/change-events.ts";
import { onOrder, startWorker, type Worker } from "../../support/automations.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { type Order, ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

type Context = HandlerContext<CreatedEvent<Order>>;

/** An automation "mail" that notes what it is given. */
function noting(handler: Handler<CreatedEvent<Order>> = () => undefined, options: Parameters<typeof onOrder>[2] = {}) {
  const seen: number[] = [];
  const mail = onOrder(
    "mail",
    (context: Context) => {
      seen.push(context.event.after.id);
      return handler(context);
    },
    options,
  );
  return { seen, mail };
}

async function write(stream: ShopStream, first: number, last: number, status = "new"): Promise<void> {
  await stream.orders(Array.from({ length: last - first + 1 }, (_, n) => ({ id: first + n, status })));
}

const consumers = async (stream: ShopStream) => (await jetstreamManager(stream.nc)).consumers;
const remove = async (stream: ShopStream) => (await consumers(stream)).delete("CDC_SHOP", "mail");
const change = async (stream: ShopStream, config: Partial<ConsumerConfig>) =>
  (await consumers(stream)).update("CDC_SHOP", "mail", config);
const settled = (stream: ShopStream) =>
  waitFor(async () => (await stream.open("mail")) === 0, { what: "all to be settled" });
const accounted = async ({ bus }: Worker): Promise<number> =>
  ((await bus.state.get("accounted.mail.CDC_SHOP"))?.value as { readonly through: number } | undefined)?.through ?? -1;
const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

describe.skipIf(missing("nats"))("a durable that is gone", () => {
  test.each(["now", "earliest"] as const)(
    "while no worker runs is made again where all was settled, and told of, whatever the start is: %s",
    async (start) => {
      await using nats = await freshNats();
      await using stream = await ShopStream.create(nats.url);
      const { seen, mail } = noting(undefined, { start });
      {
        await using worker = await startWorker({ url: nats.url, automations: [mail] });
        await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
        await write(stream, 1, 9);
        await waitFor(() => seen.length === 9, { what: "the first orders" });
        await settled(stream);
      }
      await write(stream, 10, 30);
      await remove(stream);
      const log = new RecordedLog();
      await using worker = await startWorker({ url: nats.url, automations: [mail], log });
      await waitFor(() => seen.length >= 30, { what: "the others" });
      await settled(stream);
      expect(seen.sort((a, b) => a - b)).toEqual(range(1, 30));
      expect(worker.running.status()[0]?.state).toBe("running");
      expect(log.of("automation_durable_mended")).toMatchObject([{ why: "it was gone" }]);
    },
  );

  test("while two workers run loses nothing that one of them had in hand or waits for its retry, and keeps its attempts", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const attempts = new Map<number, number[]>();
    const handled = new Set<number>();
    const make = () =>
      onOrder(
        "mail",
        ({ event, attempt }) => {
          const { id, status } = event.after;
          attempts.set(id, [...(attempts.get(id) ?? []), attempt]);
          if (status === "bad" && attempt < 4) throw new Error("not yet");
          handled.add(id);
        },
        { retry: { attempts: 4, min: 600, max: 700 } },
      );
    await write(stream, 1, 40, "bad");
    await using _one = await startWorker({ url: nats.url, automations: [make()], missedLookMs: 50 });
    await using _two = await startWorker({ url: nats.url, automations: [make()], missedLookMs: 50 });
    for (const part of [40, 80, 120]) {
      await waitFor(() => [...attempts.values()].flat().length >= part, { what: `${part} attempts` });
      await remove(stream);
    }
    await waitFor(() => handled.size === 40, { what: "all orders" });
    await settled(stream);
    for (const of of attempts.values()) {
      expect(Math.max(...of)).toBe(4);
      expect(of.every((attempt, at) => at === 0 || attempt - (of[at - 1] ?? 0) <= 1)).toBe(true);
    }
    expect(await stream.deadLetters("mail")).toEqual([]);
  });

  test("does not bring back what is settled, though one event waited for its retry when the worker began", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting(
      ({ event, attempt }) => {
        if (event.after.id === 1 && attempt === 1) throw new Error("once");
      },
      { retry: { min: 1000, max: 1100 } },
    );
    await write(stream, 1, 1);
    {
      await using worker = await startWorker({ url: nats.url, automations: [mail] });
      await waitFor(() => worker.metrics.counts["mail.retried"] === 1, { what: "the first attempt" });
    }
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 50 });
    await write(stream, 2, 300);
    await waitFor(async () => (await accounted(worker)) === 300, { what: "all to be on record" });
    await remove(stream);
    await write(stream, 301, 301);
    await waitFor(() => seen.includes(301), { what: "the next order" });
    expect([...seen].sort((a, b) => a - b)).toEqual([1, ...range(1, 301)]);
  });

  test("does not bring back what two workers had settled behind an event that still waits, also when they are gone", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting(
      ({ event, attempt, fatal }) => {
        if (event.after.id === 1 && attempt === 1) throw new Error("once");
        if (event.after.id % 50 === 0) throw fatal("never");
      },
      { retry: { min: 60_000, max: 60_000 } },
    );
    await write(stream, 1, 1);
    {
      await using one = await startWorker({ url: nats.url, automations: [mail] });
      await waitFor(() => one.metrics.counts["mail.retried"] === 1, { what: "the first attempt" });
      await using _two = await startWorker({ url: nats.url, automations: [mail] });
      await write(stream, 2, 300);
      await waitFor(async () => (await stream.open("mail")) === 1, { what: "all but the first to be settled" });
    }
    await remove(stream);
    await write(stream, 301, 301);
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 50 });
    await settled(stream);
    expect(seen.sort((a, b) => a - b)).toEqual([1, ...range(1, 301)]);
    expect(await stream.deadLetters("mail")).toHaveLength(6);
    await waitFor(async () => (await worker.bus.state.keys("settled.mail.CDC_SHOP.")).length === 0, {
      what: "what was on record for it to be swept",
    });
  });

  test.each([1, 10])(
    "while all of %i handlers are busy is noticed, and what they have in hand is not repeated",
    async (concurrency) => {
      await using nats = await freshNats();
      await using stream = await ShopStream.create(nats.url);
      let open = (): void => {};
      const free = new Promise<void>((resolve) => {
        open = resolve;
      });
      const { seen, mail } = noting(() => free, { concurrency });
      await write(stream, 1, 60);
      const log = new RecordedLog();
      await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 50, log });
      await waitFor(() => seen.length === concurrency, { what: "the first orders" });
      await remove(stream);
      await waitFor(() => log.count("automation_durable_mended") > 0, { what: "it to be told" });
      await waitFor(async () => (await (await consumers(stream)).info("CDC_SHOP", "mail")).num_ack_pending > 0, {
        what: "it to be handed out once more",
      });
      open();
      await waitFor(() => seen.length >= 60, { what: "all orders" });
      await settled(stream);
      expect(seen.toSorted((a, b) => a - b)).toEqual(range(1, 60));
      // The worker counts when it hears of the ack, which is after the server has it.
      await waitFor(() => (worker.metrics.counts["mail.handled"] ?? 0) >= 60, { what: "each to be counted" });
      expect(worker.metrics.counts["mail.handled"]).toBe(60);
    },
  );

  test("together with the record goes on by what the worker knows", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting();
    await write(stream, 1, 20);
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 50 });
    await waitFor(async () => (await accounted(worker)) === 20, { what: "all to be on record" });
    const jsm = await jetstreamManager(stream.nc);
    await jsm.streams.delete("KV_millrace_state");
    await remove(stream);
    await write(stream, 21, 25);
    await waitFor(() => seen.includes(25), { what: "the next orders" });
    expect(seen).toEqual(range(1, 25));
  });
});

describe.skipIf(missing("nats"))("a durable that somebody made in place of ours", () => {
  test("behind what was not handled, is put where all is settled", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting();
    await write(stream, 1, 5);
    {
      await using _worker = await startWorker({ url: nats.url, automations: [mail] });
      await waitFor(() => seen.length === 5, { what: "the first orders" });
      await settled(stream);
    }
    await write(stream, 6, 20);
    const own = await consumers(stream);
    const { config } = await own.info("CDC_SHOP", "mail");
    await remove(stream);
    await own.add("CDC_SHOP", { ...config, deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 18 });
    const log = new RecordedLog();
    await using _worker = await startWorker({ url: nats.url, automations: [mail], log });
    await waitFor(() => seen.length >= 20, { what: "the others" });
    await settled(stream);
    expect(seen.sort((a, b) => a - b)).toEqual(range(1, 20));
    expect(log.of("automation_durable_mended")).toMatchObject([{ why: "it was not the one on record" }]);
  });
});

describe.skipIf(missing("nats"))("a durable that somebody changed", () => {
  test("so that it gives up after two deliveries is put right, and what it gave up is tried as often as the policy says", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting(
      () => {
        throw new Error("never");
      },
      { retry: { attempts: 5, min: 100, max: 150 } },
    );
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 100 });
    await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    await change(stream, { max_deliver: 2 });
    await write(stream, 1, 3);
    await waitFor(() => worker.metrics.counts["mail.exhausted"] === 3, { what: "the dead letters" });
    expect(seen).toHaveLength(15);
    expect(await stream.deadLetters("mail")).toMatchObject([{ attempts: 5 }, { attempts: 5 }, { attempts: 5 }]);
    expect((await (await consumers(stream)).info("CDC_SHOP", "mail")).config.max_deliver).toBe(-1);
  });

  test("so that it gave up what no look has seen, for it was changed back, is made again by the server's own word", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting(
      () => {
        throw new Error("never");
      },
      { retry: { attempts: 5, min: 300, max: 350 } },
    );
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 60_000 });
    await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    await change(stream, { max_deliver: 2 });
    await write(stream, 1, 1);
    await waitFor(() => worker.metrics.counts["mail.exhausted"] === 1, { what: "the dead letter" });
    expect(seen).toHaveLength(5);
  });

  test("so that it passes events over is put right, running or not, and they are handled", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting();
    const narrow = {
      filter_subjects: undefined,
      filter_subject: "cdc.shop.public.none.>",
    } as unknown as Partial<ConsumerConfig>;
    await write(stream, 1, 2);
    {
      await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 200 });
      await waitFor(() => seen.length === 2, { what: "the first orders" });
      await change(stream, narrow);
      await write(stream, 3, 12);
      await waitFor(() => seen.length >= 12, { what: "what was passed over" });
      await settled(stream);
      await waitFor(async () => (await accounted(worker)) === 12, { what: "all to be on record" });
    }
    await change(stream, narrow);
    await write(stream, 13, 15);
    await using _worker = await startWorker({ url: nats.url, automations: [mail] });
    await waitFor(() => seen.length >= 15, { what: "what came while it was stopped" });
    await settled(stream);
    expect(new Set(seen)).toEqual(new Set(range(1, 15))); // several at once, so in any order
  });

  test("in what loses nothing is set back in its place, while a change of the definition is nobody's fault", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting();
    await write(stream, 1, 3);
    const log = new RecordedLog();
    const made = async (): Promise<string> => (await (await consumers(stream)).info("CDC_SHOP", "mail")).created;
    let first: string;
    {
      await using _worker = await startWorker({ url: nats.url, automations: [mail], log });
      await waitFor(() => seen.length === 3, { what: "the orders" });
      first = await made();
    }
    {
      await using worker = await startWorker({ url: nats.url, automations: [mail], log, ackWaitMs: 20_000 });
      await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    }
    expect(log.of("automation_durable_mended")).toEqual([]);
    await change(stream, { ack_wait: 1_000_000_000 });
    await using worker = await startWorker({ url: nats.url, automations: [mail], log });
    await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    expect(log.of("automation_durable_mended")).toMatchObject([{ why: "somebody had changed its ack_wait" }]);
    expect([await made(), (await (await consumers(stream)).info("CDC_SHOP", "mail")).config.ack_wait]).toEqual([
      first,
      30_000_000_000,
    ]);
  });

  test("by terminating an event of it has that event tried again all the same", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting(
      ({ attempt }) => {
        if (attempt === 1) throw new Error("once");
      },
      { retry: { min: 60_000, max: 60_000 } },
    );
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 60_000 });
    await write(stream, 1, 1);
    await waitFor(() => worker.metrics.counts["mail.retried"] === 1, { what: "the first attempt" });
    stream.nc.publish("$JS.ACK.CDC_SHOP.mail.1.1.1.0.0", "+TERM by hand");
    await waitFor(() => worker.metrics.counts["mail.handled"] === 1, { what: "the second attempt" });
    expect(seen).toEqual([1, 1]);
  });

  test("by pausing it is told of, and goes on when it is resumed", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const { seen, mail } = noting();
    const log = new RecordedLog();
    await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 50, log });
    await waitFor(() => worker.running.status()[0]?.state === "running", { what: "it to run" });
    const own = await consumers(stream);
    await own.pause("CDC_SHOP", "mail", new Date(Date.now() + 3_600_000));
    await waitFor(() => worker.running.status()[0]?.obstacle !== undefined, { what: "the pause to be told" });
    expect(worker.running.status()).toMatchObject([{ state: "running", obstacle: { code: "AUTOMATION_PAUSED" } }]);
    await write(stream, 1, 1);
    await own.resume("CDC_SHOP", "mail");
    await waitFor(() => seen.length === 1, { what: "the order" });
    await waitFor(() => worker.running.status()[0]?.obstacle === undefined, { what: "the end of it" });
    expect(log.of("automation_held_up")).toMatchObject([{ code: "AUTOMATION_PAUSED" }]);
  });
});

test.skipIf(missing("nats"))("events that wait for their retry and hold up all others are told of", async () => {
  await using nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  const { mail } = noting(
    () => {
      throw new Error("not now");
    },
    { retry: { min: 60_000, max: 60_000 }, concurrency: 200 },
  );
  await write(stream, 1, 1800);
  await using worker = await startWorker({ url: nats.url, automations: [mail], missedLookMs: 50 });
  await waitFor(() => worker.running.status()[0]?.obstacle !== undefined, { what: "it to be told" });
  expect(worker.running.status()).toMatchObject([
    {
      state: "running",
      obstacle: {
        code: "AUTOMATION_RETRIES_FULL",
        message: "1768 events wait for their retry, and 32 others for one of those to be settled",
      },
    },
  ]);
});

test.skipIf(missing("nats"))("what waits for an automation that a gap has stopped is counted on", async () => {
  await using nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  const { seen, mail } = noting();
  await write(stream, 1, 1);
  {
    await using _worker = await startWorker({ url: nats.url, automations: [mail] });
    await waitFor(() => seen.length === 1, { what: "the first order" });
    await settled(stream);
  }
  await write(stream, 2, 20);
  await stream.keepOnly(10);
  await using worker = await startWorker({ url: nats.url, automations: [mail] });
  await waitFor(() => worker.running.status()[0]?.state === "failed", { what: "it to stop" });
  expect(await worker.running.depth("mail")).toEqual({ pending: 10, unacked: 0, later: 0 });
});
