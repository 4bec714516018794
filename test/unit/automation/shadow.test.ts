// An automation in shadow: its handler runs, what it would have done is on record, and nothing of it happens.

import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { Shadow } from "../../../src/automation/outcome/shadow.ts";
import { runAutomations } from "../../../src/automation/run/run-automations.ts";
import { MemoryBus } from "../../../src/bus/memory/memory-bus.ts";
import { MemoryServer } from "../../../src/bus/memory/memory-server.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { given } from "../../../src/testing.ts";
import { onOrder } from "../../support/automations.ts";
import { transaction } from "../../support/postgres/transactions.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { waitFor } from "../../support/wait-for.ts";

const orders = collection<{ id: number; status: string }, { id: number }>("shop", "public.orders");
const created = (id: number, status = "new") => orders.row({ id, status }).created();

test("what its tx emits and commits is counted by name, and neither emitted nor committed", async () => {
  const seen: boolean[] = [];
  const shadow = automation("receipt", { on: orders.created(), shadow: true }, async ({ event, tx, skip, ...rest }) => {
    seen.push(rest.shadow);
    if (event.after.id === 2) return skip("not paid");
    return tx(async ({ client, emit }) => {
      await client.query("insert into receipts values ($1)", [event.after.id]);
      await emit("receipt.created", { key: "1", data: { secret: "of the row" } });
      await emit("receipt.created", { key: "2", data: {} });
    });
  });
  const r = await given([created(1), created(2)]).when(shadow);

  expect(seen).toEqual([true, true]);
  expect(r.outcomes).toMatchObject([
    {
      outcome: "shadow",
      attempts: 1,
      wouldBe: {
        would: "done",
        effects: [
          { kind: "emit", type: "receipt.created", count: 2 },
          { kind: "tx", count: 1 },
        ],
      },
    },
    { outcome: "shadow", reason: "not paid", wouldBe: { would: "skipped", effects: [] } },
  ]);
  expect([r.emitted, r.statements, r.deadLetters]).toEqual([[], [], []]);
});

test("its tx leaves no inbox entry, so that a retry behind it runs the work again", async () => {
  let runs = 0;
  const shadow = automation("again", { on: orders.created(), shadow: true }, async ({ attempt, tx }) => {
    await tx(async () => void runs++);
    if (attempt === 1) throw new Error("after the effect");
  });
  const r = await given([created(1)]).when(shadow);

  expect(runs).toBe(2);
  expect(r.outcomes).toMatchObject([{ outcome: "shadow", attempts: 2, wouldBe: { would: "done" } }]);
  expect(r.outcomes[0]?.waits).toHaveLength(1);
});

test.each([
  ["exhausted", new Error("no"), {}],
  ["fatal", undefined, { order: "key", onExhausted: "block" }],
] as const)(
  "one that would have been a dead letter (%s) is none, and blocks no key",
  async (reason, error, options) => {
    const shadow = automation("fails", { on: orders.created(), shadow: true, ...options }, ({ fatal }) => {
      throw error ?? fatal("never");
    });
    const r = await given([created(1), orders.row({ id: 1, status: "new" }).created()]).when(shadow);

    expect(r.deadLetters).toEqual([]);
    expect(r.outcomes).toMatchObject([
      { outcome: "shadow", reason, wouldBe: { would: "dead" } },
      { outcome: "shadow", reason, wouldBe: { would: "dead" } },
    ]);
  },
);

test("its record in the event log has names and counts alone, and metrics tell it apart", async () => {
  const time = new VirtualTime();
  const { clock } = time;
  const server = new MemoryServer(clock);
  const open = () => new MemoryBus({ server, clock, fsync: "always", log: silentLogger });
  await using writer = await open()
    .stream("shop" as SourceId)
    .openWriter(new AbortController().signal);
  await writer.write([10, 20].flatMap((final) => transaction("shop" as SourceId, final)));
  const metrics = createMetrics();
  const stopping = new AbortController();
  const mail = onOrder(
    "mail",
    async ({ event, fatal }) => {
      if ((event.after as unknown as { readonly id: string }).id === "20-0") throw fatal("never");
    },
    { shadow: true },
  );
  const bus = open();
  const { settled, status } = runAutomations({
    ...{ bus, clock, automations: [mail], log: silentLogger, metrics: metrics.automations, logEvents: false },
    ...{ logErrors: "message" as const, ackWaitMs: 30_000, signal: stopping.signal },
  });
  const all = (): boolean => {
    const { "": well = 0, fatal = 0 } = metrics.automations.counts("mail").shadowBy ?? {};
    return well === 1 && fatal === 1;
  };
  await time.when(waitFor(all, { what: "both to end", clock, timeoutMs: 60_000 }));

  expect(status()).toMatchObject([{ id: "mail", shadow: true }]);
  expect(metrics.automations.counts("mail")).toMatchObject({ handled: 0, dead: 0 });
  expect(await metrics.registry.metrics()).toContain(
    'millrace_automation_events_total{automation="mail",outcome="shadow",reason="fatal"} 1',
  );
  stopping.abort();
  await time.when(settled);
  const records = server.streams.get("MILLRACE_LOG")?.messages ?? [];
  const bodies = records.map(({ subject, data }) => [subject, JSON.parse(Buffer.from(data).toString())]);
  expect(bodies.toSorted((a, b) => a[1].sequence - b[1].sequence)).toMatchObject([
    ["log.mail.shadow", { would: "done", effects: [], attempt: 1 }],
    ["log.mail.shadow", { would: "dead", reason: "fatal", error: { name: "Fatal", code: "FATAL" } }],
  ]);
  expect(server.streams.get("MILLRACE_DEAD")?.messages ?? []).toEqual([]);
  await bus[Symbol.asyncDispose]();
});

test("a handler that makes names up without end cannot make the record large", () => {
  const shadow = new Shadow();
  for (let n = 0; n < 5000; n++) shadow.note({ kind: "emit", type: `${n} ${"x".repeat(1000)}` });

  const said = shadow.wouldBe("done");
  expect(said.effects).toHaveLength(20);
  expect(said.more).toBe(4980);
  expect(JSON.stringify(said).length).toBeLessThan(8192);
});

test("shadow that is neither true nor false is refused", () => {
  expect(() => automation("a", { on: orders.created(), shadow: "yes" as never }, () => {})).toThrow(
    "shadow is neither true nor false",
  );
});
