// What becomes of an event: acked, retried, skipped, dead. On a real nats-server.

import { describe, expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { Fatal, Retry } from "../../../src/automation/outcome/outcome.ts";
import { onOrder, orders, startWorker } from "../../support/automations.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("nats"))("an event", async () => {
  const nats = await freshNats();
  const url = nats.url;
  const stream = await ShopStream.create(url);
  const start = (await stream.order("created", { id: 1, status: "new" })) - 1;
  expect(start).toBe(0);

  test("is acked only after its handler, and gone then", async () => {
    let finish = (): void => {};
    let started = false;
    const slow = onOrder("slow", () => {
      started = true;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    await using worker = await startWorker({ url, automations: [slow] });
    await waitFor(() => started, { what: "the handler" });
    expect(await stream.open("slow")).toBe(1);
    expect(worker.metrics.counts["slow.handled"]).toBeUndefined();
    finish();
    await waitFor(async () => (await stream.open("slow")) === 0, { what: "the ack" });
    await waitFor(() => worker.metrics.counts["slow.handled"] === 1, { what: "the count" });
  });

  test("reaches the handler typed, decoded and with its envelope", async () => {
    const seen: unknown[] = [];
    const reader = onOrder("reader", ({ event, attempt }) => void seen.push({ ...event, attempt }));
    await using _worker = await startWorker({ url, automations: [reader] });
    await waitFor(() => seen.length === 1, { what: "the event" });
    expect(seen[0]).toMatchObject({
      op: "created",
      key: { id: 1 },
      before: null,
      after: { id: 1, status: "new" },
      type: "shop.public.orders.created",
      sequence: 1,
      transaction: { id: "1", last: true },
      attempt: 1,
    });
  });

  test("spends no attempt while what its handler needs is away, which is said, and goes on by itself", async () => {
    const attempts: number[] = [];
    let away = true;
    const waits = onOrder(
      "waits",
      ({ attempt }) => {
        attempts.push(attempt);
        if (away) throw new Retry({ after: 10, unavailable: "the mail server" });
        if (attempts.filter((one) => one === 1).length < 31) throw new Retry({ after: 10, unavailable: true });
        if (attempt === 1) throw new Error("its own fault");
      },
      { retry: { attempts: 2, min: 20, max: 50 } },
    );
    await using worker = await startWorker({ url, automations: [waits] });
    const status = () => worker.running.status()[0];
    await waitFor(() => attempts.length > 25, { what: "more tries than attempts and spare deliveries" });
    expect(status()).toMatchObject({
      state: "retrying",
      reason: { code: "UNAVAILABLE", message: "the mail server is away" },
    });
    away = false;
    await waitFor(() => worker.metrics.counts["waits.handled"] === 1, { what: "the effect" });

    expect(new Set(attempts)).toEqual(new Set([1, 2]));
    expect(attempts.filter((one) => one === 2)).toHaveLength(1);
    expect(worker.metrics.counts["waits.retried"]).toBe(1);
    expect(status()).toMatchObject({ state: "running" });
    expect(status()).not.toHaveProperty("reason");
  });

  test("that waits for what is away is a dead letter once it is too old, and given back at a stop", async () => {
    const unavailable = (id: string, maxAge: "200ms" | "1h") =>
      onOrder(
        id,
        () => {
          throw new Retry({ after: 10, unavailable: true });
        },
        { retry: { min: 20, max: 50, maxAge } },
      );
    const worker = await startWorker({ url, automations: [unavailable("old", "200ms"), unavailable("kept", "1h")] });
    await waitFor(() => worker.metrics.counts["old.expired"] === 1, { what: "the dead letter" });
    await worker.stop();

    expect(worker.metrics.counts["kept.retried"]).toBeUndefined();
    expect(await stream.open("kept")).toBe(1);
  });

  test("is tried again after its handler threw, with what is known about it, then acked", async () => {
    const attempts: number[] = [];
    const flaky = onOrder("flaky", ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 3) throw new Error("not yet");
    });
    await using worker = await startWorker({ url, automations: [flaky] });
    await waitFor(() => worker.metrics.counts["flaky.handled"] === 1, { what: "the third attempt" });
    expect(attempts).toEqual([1, 2, 3]);
    expect(worker.metrics.counts).toEqual({ "flaky.attempts": 3, "flaky.retried": 2, "flaky.handled": 1 });
    await waitFor(async () => (await worker.bus.state.get("attempts.flaky.CDC_SHOP.1")) === undefined, {
      what: "the record to be deleted",
    });
  });

  test("becomes one dead letter with its body and headers when all attempts failed", async () => {
    const times: number[] = [];
    const broken = onOrder(
      "broken",
      () => {
        times.push(performance.now());
        throw Object.assign(new TypeError("no such thing"), { code: "E_NO" });
      },
      { retry: { attempts: 2, min: 300, max: 600 } },
    );
    await using worker = await startWorker({ url, automations: [broken] });
    await waitFor(async () => (await stream.open("broken")) === 0, { what: "the end" });
    expect(times).toHaveLength(2);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(295);
    expect(await stream.deadLetters("broken")).toEqual([
      {
        reason: "exhausted",
        automation: "broken",
        attempts: 2,
        firstAt: expect.stringMatching(/^\d{4}-.*Z$/),
        error: {
          name: "TypeError",
          message: "no such thing",
          code: "E_NO",
          at: [expect.stringMatching(/\(test\/integration\/automation\/delivery\.test\.ts:\d+:\d+\)$/)],
        },
        event: {
          stream: "CDC_SHOP",
          sequence: 1,
          subject: "cdc.shop.public.orders.created.p03",
          headers: expect.objectContaining({ "ce-id": expect.stringContaining("shop.0001."), "Cdc-Tx": "1" }),
          dataBytes: expect.any(Number),
          data: '{"op":"created","key":{"id":1},"before":null,"after":{"id":1,"status":"new"}}',
        },
      },
    ]);
    expect(worker.metrics.counts).toEqual({ "broken.attempts": 2, "broken.retried": 1, "broken.exhausted": 1 });
    expect(await worker.bus.state.get("attempts.broken.CDC_SHOP.1")).toBeUndefined();
  });

  test("is a dead letter at once after Fatal, thrown or returned", async () => {
    const fatal = onOrder("fatal", ({ fatal }) => {
      throw fatal("never");
    });
    const returned = onOrder("returned", (() => new Fatal("never")) as never);
    await using worker = await startWorker({ url, automations: [fatal, returned] });
    await waitFor(() => worker.metrics.counts["fatal.fatal"] === 1 && worker.metrics.counts["returned.fatal"] === 1, {
      what: "both dead letters",
    });
    expect(worker.metrics.counts["fatal.attempts"]).toBe(1);
    expect(await stream.deadLetters("fatal")).toMatchObject([
      { reason: "fatal", attempts: 1, error: { message: "never" } },
    ]);
  });

  test("comes back after the delay that Retry asks for", async () => {
    const times: number[] = [];
    const later = onOrder("later", () => {
      times.push(performance.now());
      if (times.length === 1) throw new Retry({ after: 400 });
    });
    await using worker = await startWorker({ url, automations: [later] });
    await waitFor(() => worker.metrics.counts["later.handled"] === 1, { what: "the second attempt" });
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(395);
  });

  test("is acked and counted as skipped after skip", async () => {
    const skipping = onOrder("skipping", ({ skip }) => skip("nothing to do"));
    await using worker = await startWorker({ url, automations: [skipping] });
    await waitFor(() => worker.metrics.counts["skipping.skipped"] === 1, { what: "the skip" });
    expect(await stream.open("skipping")).toBe(0);
  });

  test("fails its attempt at the timeout, and is not started again while the handler still runs", async () => {
    let running = 0;
    let most = 0;
    let aborted = 0;
    const finish: (() => void)[] = [];
    const hanging = onOrder(
      "hanging",
      async ({ signal }) => {
        most = Math.max(most, ++running);
        signal.addEventListener("abort", () => aborted++);
        await new Promise<void>((resolve) => finish.push(resolve));
        running--;
      },
      { timeout: 100, retry: { attempts: 2, min: 10, max: 20 } },
    );
    await using worker = await startWorker({ url, automations: [hanging], ackWaitMs: 1000 });
    const record = async () => (await worker.bus.state.get("attempts.hanging.CDC_SHOP.1"))?.value;
    expect(await waitFor(record, { what: "the failed attempt on record" })).toMatchObject({
      attempts: 1,
      lastError: { code: "AUTOMATION_TIMEOUT" },
    });
    expect(aborted).toBe(1);
    expect(worker.running.status()).toMatchObject([{ id: "hanging", state: "running", running: 1, hanging: 1 }]);
    // Longer than the server waits for a sign of life: it must have got some.
    const until = performance.now() + 2500;
    await waitFor(() => performance.now() > until, { what: "two and a half waits" });
    expect(finish).toHaveLength(1);
    finish[0]?.();
    await waitFor(() => finish.length === 2, { what: "the second attempt" });
    finish[1]?.();
    await waitFor(() => worker.metrics.counts["hanging.handled"] === 1, { what: "the ack of the second attempt" });
    expect(most).toBe(1);
  });

  test("that cannot be decoded is a dead letter, and the next one is handled", async () => {
    await stream.raw("cdc.shop.public.junk.created.p00", "X-Odd: 1\r\n", Uint8Array.of(0xff, 0x00));
    await stream.raw("cdc.shop.public.junk.created.p00", "", "{}");
    const junk = automation(
      "junk",
      { on: [orders.created(), collection("shop", "public.junk").created()], start: "earliest" },
      () => {},
    );
    await using worker = await startWorker({ url, automations: [junk] });
    await waitFor(
      () => worker.metrics.counts["junk.undecodable"] === 2 && worker.metrics.counts["junk.handled"] === 1,
      {
        what: "all three",
      },
    );
    expect(await stream.deadLetters("junk")).toMatchObject([
      { reason: "undecodable", attempts: 0, firstAt: null, event: { base64: "/wA=", headers: { "X-Odd": "1" } } },
      { reason: "undecodable", event: { data: "{}" } },
    ]);
  });

  test("too large to be quoted whole in its dead letter leaves its data out", async () => {
    const quotes = '"'.repeat(500_000);
    const sequence = await stream.raw("cdc.shop.public.big.created.p00", "", JSON.stringify(quotes));
    const big = automation("big", { on: collection("shop", "public.big").created(), start: "earliest" }, () => {});
    await using worker = await startWorker({ url, automations: [big] });
    await waitFor(() => worker.metrics.counts["big.undecodable"] === 1, { what: "the dead letter" });
    const [letter] = await stream.deadLetters("big");
    expect(letter?.event).toEqual({
      stream: "CDC_SHOP",
      sequence,
      subject: "cdc.shop.public.big.created.p00",
      headers: {},
      dataBytes: 1_000_002,
    });
  });
});
