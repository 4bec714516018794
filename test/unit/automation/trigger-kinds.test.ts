// A kind of trigger that no room of src knows, of two streams and with events that no database's log holds: it is subscribed,
// delivered and checked by the interface alone.

import { expect, test } from "vitest";
import { type Automation, automation } from "../../../src/automation/define/automation.ts";
import { automationFindings } from "../../../src/automation/define/check-automations.ts";
import type { Trigger, TriggerCheck } from "../../../src/automation/define/trigger.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { memoryStore } from "../../../src/bus/memory/memory-server.ts";
import { realClock } from "../../../src/clock.ts";
import { ConfigError, PoisonError } from "../../../src/errors.ts";
import { retryId, type SourceId, systemId } from "../../../src/event/source-id.ts";
import { collection, event } from "../../../src/index.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Counts } from "../../support/automations.ts";
import { ScriptedDelivery, scriptedConsumerBus } from "../../support/bus/scripted-consumer-bus.ts";
import { waitFor } from "../../support/wait-for.ts";

const shop = "shop" as SourceId;

interface Payment {
  readonly id: string;
  readonly amount: number;
}

/** Payments that come in from outside, or as rows of a table; those of nothing are left alone. */
const payments: Trigger<Payment> = {
  subscriptions: () => [
    { source: systemId, filter: "events._in.payments.>" },
    { source: shop, filter: "cdc.shop.public.payments.created.*" },
  ],
  decode: ({ subject, data }) => {
    if (!subject.includes(".payments.")) return undefined;
    const body = JSON.parse(Buffer.from(data).toString()) as Payment | null;
    if (body === null) throw new PoisonError("EVENT_UNDECODABLE", "no payment");
    return body;
  },
  match: (paid) => (paid as Payment).amount > 0,
  check: ({ automation: id, outboxes, known }: TriggerCheck) => {
    if (outboxes.length > 1) throw new ConfigError("PAYMENTS_TWICE", `${id} would be told twice`);
    return known === undefined ? [] : [{ code: "PAYMENTS_LATE", message: "they come late" }];
  },
};
const outside = (payment: Payment | null): Partial<ScriptedDelivery> => ({
  stream: "MILLRACE_EVENTS",
  subject: "events._in.payments.paid.p01",
  data: Buffer.from(JSON.stringify(payment)),
});
const row = (payment: Payment): Partial<ScriptedDelivery> => ({
  subject: "cdc.shop.public.payments.created.p01",
  data: Buffer.from(JSON.stringify(payment)),
});

/** Runs it until each delivery has come to its end. */
async function run(
  on: Automation["triggers"],
  deliveries: Readonly<Record<string, readonly Partial<ScriptedDelivery>[]>>,
  state = memoryStore(),
  durables = 0,
) {
  const handled: unknown[] = [];
  const given = new Map(
    Object.entries(deliveries).map(([source, all]) => [
      source as SourceId,
      all.map((one, nth) => new ScriptedDelivery({ sequence: nth + 1, ...one })),
    ]),
  );
  const bus = scriptedConsumerBus(given, state);
  const metrics = new Counts();
  const stopping = new AbortController();
  const running = runAutomations({
    bus,
    automations: [automation("pay", { on, concurrency: 1 }, (context) => void handled.push(context.event))],
    log: silentLogger,
    metrics,
    clock: realClock,
    logEvents: false,
    logErrors: "message",
    signal: stopping.signal,
    outboxes: [shop],
  });
  const ends = await Promise.all([...given.values()].flat().map((delivery) => delivery.ended));
  await waitFor(() => bus.consumed.length >= durables, { what: "its durables" });
  stopping.abort();
  await running.settled;
  return { handled, ends, counts: metrics.counts, letters: bus.letters, consumed: bus.consumed };
}

test("it has one durable on each of its streams, which it shares with the other triggers there, and one on what waits", async () => {
  const triggers = [payments, event("order.placed"), collection("other", "public.orders").deleted()];
  const { consumed } = await run(triggers, {}, memoryStore(), 4);

  expect(consumed).toEqual([
    { source: systemId, durable: "pay", filters: ["events._in.payments.>"] },
    { source: shop, durable: "pay", filters: ["cdc.shop.public.payments.created.*", "events.shop.order.placed.*"] },
    { source: "other", durable: "pay", filters: ["cdc.other.public.orders.deleted.*"] },
    { source: retryId, durable: "pay", filters: ["retry.pay"] },
  ]);
});

test("its events need no place in a log, and the handler gets what it decoded, whichever stream they came by", async () => {
  const { handled, ends, counts } = await run([payments], {
    [systemId]: [outside({ id: "a", amount: 5 })],
    [shop]: [row({ id: "b", amount: 7 })],
  });

  expect(handled).toEqual(
    expect.arrayContaining([
      { id: "a", amount: 5 },
      { id: "b", amount: 7 },
    ]),
  );
  expect(ends).toEqual(["acked", "acked"]);
  expect(counts).toEqual({ "pay.handled": 2, "pay.attempts": 2 });
});

test("what it does not match, and what none of the triggers decodes, ends as filtered: acked, and no handler starts", async () => {
  const { handled, ends, counts, letters } = await run([payments, event("payments.paid")], {
    [systemId]: [
      outside({ id: "a", amount: 0 }),
      { subject: "events._in.others.paid.p01", data: Buffer.from("{}") },
      // Too many handlers stand behind it, and it is none of this automation's.
      { ...outside({ id: "c", amount: 0 }), lines: { "ce-hops": "99" } },
    ],
  });

  expect(handled).toEqual([]);
  expect(ends).toEqual(["acked", "acked", "acked"]);
  expect(counts).toEqual({ "pay.filtered": 3 });
  expect(letters).toEqual([]);
});

test("another trigger may match what it does not", async () => {
  const all: Trigger<Payment> = { ...payments, match: () => true };
  const { handled } = await run([payments, all], { [shop]: [row({ id: "b", amount: 0 })] });

  expect(handled).toEqual([{ id: "b", amount: 0 }]);
});

test("what it cannot decode is a dead letter", async () => {
  const { ends, counts, letters } = await run([payments], { [systemId]: [outside(null)] });

  expect(ends).toEqual(["terminated"]);
  expect(counts).toEqual({ "pay.undecodable": 1 });
  expect(letters).toMatchObject([{ reason: "undecodable", event: { stream: "MILLRACE_EVENTS", sequence: 1 } }]);
});

test("what was decided to be a dead letter becomes one, though it would not match any more", async () => {
  const state = memoryStore();
  const error = { name: "Error", message: "no" };
  await state.put("attempts.pay.CDC_SHOP.1", { id: "b", attempts: 3, firstAt: 1, lastError: error }, 0);
  const again = { again: true, lines: { "ce-id": "b" } };
  const { ends, counts } = await run([payments], { [shop]: [{ ...row({ id: "b", amount: 0 }), ...again }] }, state);

  expect(ends).toEqual(["terminated"]);
  expect(counts).toEqual({ "pay.exhausted": 1 });
  expect(await state.keys("attempts.")).toEqual([]);
});

test("what another worker has in hand by now is not told to be filtered", async () => {
  const { ends, counts } = await run([payments], {
    [systemId]: [{ ...outside({ id: "a", amount: 0 }), ours: false }],
  });

  expect(ends).toEqual(["returned"]);
  expect(counts).toEqual({});
});

test("check tells what it says, and the start is refused where it throws", () => {
  const pay = automation("pay", { on: payments }, () => {});
  const found = (outboxes: readonly SourceId[]): unknown =>
    automationFindings([pay], { all: [shop], outboxes }, new Map());
  const start = (): unknown =>
    runAutomations({
      clock: realClock,
      bus: scriptedConsumerBus(new Map(), memoryStore()),
      automations: [pay],
      log: silentLogger,
      metrics: new Counts(),
      logEvents: false,
      logErrors: "message",
      signal: AbortSignal.abort(),
      outboxes: [shop, "other" as SourceId],
    });

  expect(found([])).toEqual([
    { level: "warn", subject: "automation pay", code: "PAYMENTS_LATE", message: "they come late" },
  ]);
  expect(found([shop, "other" as SourceId])).toEqual([
    { level: "fail", subject: "automation pay", code: "PAYMENTS_TWICE", message: "pay would be told twice" },
  ]);
  expect(start).toThrow(expect.objectContaining({ code: "PAYMENTS_TWICE" }));
});
