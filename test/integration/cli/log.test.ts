// `millrace log`, as people and scripts run it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { z } from "zod";
import { openEventLog } from "../../../src/bus/jetstream/commands/read-event-log.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

/** As docs/cli.md has it. */
const outcome = {
  outcome: z.enum(["done", "skipped", "filtered", "retried", "dead", "shadow"]),
  time: z.iso.datetime(),
  worker: z.string(),
  run: z.string().optional(),
  attempt: z.int().optional(),
  reason: z.string().optional(),
  error: z.strictObject({ name: z.string(), code: z.string().optional() }).optional(),
  delayMs: z.number().optional(),
  durationMs: z.number().optional(),
};
const ofEvent = z.strictObject({
  events: z.array(
    z.strictObject({
      stream: z.string(),
      sequence: z.int(),
      id: z.string(),
      type: z.string(),
      time: z.string().nullable(),
      causationId: z.string().nullable(),
      left: z.literal(true).optional(),
      outcomes: z.array(z.strictObject({ automation: z.string(), ...outcome })),
    }),
  ),
});
const ofAutomation = z.strictObject({
  automation: z.string(),
  records: z.array(
    z.strictObject({
      ...outcome,
      stream: z.string(),
      sequence: z.int().optional(),
      ranges: z.array(z.tuple([z.int(), z.int()])).optional(),
      count: z.int().optional(),
      id: z.string().optional(),
      type: z.string().optional(),
      correlationId: z.string().optional(),
      causationId: z.string().optional(),
    }),
  ),
});

async function inDirectory(url: string): Promise<(...args: string[]) => Promise<CommandResult>> {
  const cwd = await scratchDir();
  await writeFile(
    join(cwd, "millrace.config.mjs"),
    `import { automation, collection } from "millrace";
export default {
bus: { servers: ${JSON.stringify(url)} },
sources: { shop: { kind: "postgres", url: "postgres://nobody@127.0.0.1:1/none", tables: ["public.*"] } },
automations: [automation("idle", { on: collection("shop", "public.orders").deleted() }, () => {})],
};
`,
  );
  return (...args) => runCommand(["log", ...args], { cwd });
}

test.skipIf(missing("nats"))(
  "says what became of an event everywhere, along its chain, and of one automation",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const run = await inDirectory(url);
    for (let id = 1; id <= 3; id++) await stream.order("created", { id, status: "new" });
    // As a handler's tx of the second one would have caused it.
    const caused = "ce-correlationid: shop.0001.0000000000000002\r\nce-causationid: shop.0001.0000000000000002\r\n";
    await stream.raw(
      "cdc.shop.public.orders.created.p03",
      `ce-id: shop.0001.0000000000000009\r\nce-type: shop.public.orders.created\r\nce-source: /shop\r\nce-specversion: 1.0\r\nce-subject: public.orders/9\r\nce-time: 2026-01-02T03:04:05Z\r\nCdc-Pos: 0001.0000000000000009+\r\n${caused}`,
      JSON.stringify({ op: "created", key: { id: 9 }, before: null, after: { id: 9, status: "new" } }),
    );
    const mail = onOrder("mail", ({ event, attempt, skip }) => {
      if (event.after.id === 2 && attempt === 1) throw Object.assign(new Error("no"), { code: "ECONNREFUSED" });
      return event.after.id === 3 ? skip("third") : undefined;
    });
    const bill = onOrder("bill", ({ event, fatal }) => {
      if (event.after.id === 2) throw fatal("never");
    });
    await using _worker = await startWorker({ url, automations: [mail, bill] });
    const open = async () => (await stream.open("mail")) + (await stream.open("bill"));
    await waitFor(async () => (await open()) === 0, { what: "all acks" });

    const json = async (...args: string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await run(...args, "--json");
      expect([code, stderr]).toEqual([0, ""]);
      return JSON.parse(stdout);
    };
    const { events } = ofEvent.parse(await json("CDC_SHOP:2"));
    const [second, its] = events;
    expect(events.map(({ sequence }) => sequence)).toEqual([2, 4]);
    expect(second?.outcomes.map(({ automation, outcome }) => `${automation} ${outcome}`).sort()).toEqual([
      "bill dead",
      "mail done",
      "mail retried",
    ]);
    expect(second?.outcomes.find(({ outcome }) => outcome === "retried")).toMatchObject({
      attempt: 1,
      error: { code: "ECONNREFUSED" },
    });
    expect(its).toMatchObject({ id: "shop.0001.0000000000000009", causationId: "shop.0001.0000000000000002" });
    expect(its?.outcomes.map(({ automation, outcome }) => `${automation} ${outcome}`).sort()).toEqual([
      "bill done",
      "mail done",
    ]);
    expect(ofEvent.parse(await json(second?.id ?? "")).events).toEqual(events);

    const text = await run(second?.id ?? "");
    expect(text.stdout).toMatch(/retried {3}mail +attempt 1, ECONNREFUSED, next in \d+ ms/);
    expect(text.stdout).toContain("caused by shop.0001.0000000000000002");
    for (const line of text.stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);

    const all = ofAutomation.parse(await json("mail"));
    expect(all.records.map(({ outcome }) => outcome).sort()).toEqual(
      expect.arrayContaining(["done", "retried", "skipped"]),
    );
    const skipped = ofAutomation.parse(await json("mail", "--outcome", "skipped,dead", "--since", "1h"));
    expect(skipped.records).toMatchObject([{ outcome: "skipped", sequence: 3, reason: "third" }]);
    expect(ofAutomation.parse(await json("mail", "--last", "1")).records).toEqual(all.records.slice(-1));
    expect(ofAutomation.parse(await json("idle")).records).toEqual([]);

    // As retention takes them: what is on record of them stays.
    const streams = (await jetstreamManager(stream.nc)).streams;
    await streams.update("CDC_SHOP", { ...(await streams.info("CDC_SHOP")).config, max_msgs: 1 });
    await using reader = await openEventLog({ servers: [url] }, ["shop" as SourceId], new AbortController().signal);
    const [gone, rest] = (await reader.ofEvent("CDC_SHOP:2")) ?? [];
    expect(gone).toMatchObject({ ...second, time: undefined, causationId: undefined, left: true });
    expect(rest).toMatchObject({ id: its?.id, outcomes: its?.outcomes });
    expect(await reader.ofEvent(second?.id ?? "")).toEqual([gone, rest]);
    const [first] = (await reader.ofEvent("CDC_SHOP:1")) ?? [];
    expect(first?.outcomes).toMatchObject([{ outcome: "done" }, { outcome: "done" }]);
    expect((await run("CDC_SHOP:2")).stdout).toContain("it has left its stream; what is on record of it:");
  },
);

test.skipIf(missing("nats"))("refuses what nothing is on record of, and outcomes and times that are none", async () => {
  const { url } = await freshNats();
  await using _stream = await ShopStream.create(url);
  const run = await inDirectory(url);
  const [unknown, outcome, since] = await Promise.all([
    run("shop.0001.00"),
    run("idle", "--outcome", "lost"),
    run("idle", "--since", "soon"),
  ]);
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("EVENT_UNKNOWN") });
  expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining("lost is no outcome") });
  expect(since).toMatchObject({ code: 2, stderr: expect.stringContaining("--since soon") });
});
