// Events that leave the stream before an automation got them. On a real nats-server, whose retention takes them.

import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { startWorker as startWholeWorker, type Worker as WholeWorker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import type { GapData } from "../../../src/event/system-event.ts";
import { onOrder, orders, startWorker, type Worker } from "../../support/automations.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

/** All events of what was missed, oldest first. */
async function gapsTold(url: string): Promise<readonly GapData[]> {
  const told = (await readStream(url, "MILLRACE_EVENTS")).filter(({ subject }) =>
    subject.startsWith("events._system.gap.missed."),
  );
  return told.map(({ text }) => JSON.parse(text));
}

/** Up to where the automation is on record as having missed nothing. */
async function accounted({ bus }: Worker, id: string): Promise<number> {
  const entry = await bus.state.get(`accounted.${id}.CDC_SHOP`);
  return (entry?.value as { readonly through: number } | undefined)?.through ?? -1;
}

/** Handed out and not settled. */
async function unsettled(stream: ShopStream, id: string): Promise<number> {
  return (await (await jetstreamManager(stream.nc)).consumers.info("CDC_SHOP", id)).num_ack_pending;
}

const failure = ({ running }: Worker): unknown => {
  const [status] = running.status();
  return status?.state === "failed" ? status.reason : undefined;
};

describe.skipIf(missing("nats"))("events that left the stream unseen", () => {
  test("stop their automation, until it goes on behind them once, and tells of them once", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const handled: number[] = [];
    const automations = [onOrder("mail", ({ event }) => void handled.push(event.sequence))];
    await stream.order("created", { id: 1, status: "new" });
    {
      await using _worker = await startWorker({ url, automations });
      await waitFor(() => handled.length === 1, { what: "the first order" });
    }
    for (let id = 2; id <= 5; id++) await stream.order("created", { id, status: "new" });
    await stream.keepOnly(1);
    {
      await using worker = await startWorker({ url, automations });
      await waitFor(() => failure(worker) !== undefined, { what: "the automation to stop" });
      expect(failure(worker)).toMatchObject({
        code: "AUTOMATION_GAP",
        message: "CDC_SHOP dropped the messages 2 to 4, and mail may not have settled its events among them",
        hint: expect.stringContaining("--adopt"),
      });
      expect([handled, worker.metrics.counts["mail.missed"]]).toEqual([[1], undefined]);
    }
    {
      await using worker = await startWorker({ url, automations, adopt: true });
      await waitFor(() => handled.length === 2, { what: "what is left" });
      expect(worker.metrics.counts["mail.missed"]).toBe(1);
      const [status] = worker.running.status();
      expect(status?.state).toBe("running");
      expect(status?.gap).toEqual({ source: "shop", first: 2, last: 4, agoMs: expect.any(Number) });
    }
    const told = [
      {
        source: "shop",
        automation: "mail",
        code: "AUTOMATION_GAP",
        reason: "CDC_SHOP dropped the messages 2 to 4, and mail may not have settled its events among them",
        after: "1",
        upTo: "4",
      },
    ];
    expect(await gapsTold(url)).toEqual(told);
    await stream.order("created", { id: 6, status: "new" });
    await using worker = await startWorker({ url, automations });
    await waitFor(() => handled.length === 3, { what: "the next order" });
    expect(handled).toEqual([1, 5, 6]);
    expect([await gapsTold(url), worker.running.status()[0]?.gap]).toEqual([told, undefined]);
  });

  test("are noticed while it runs, and it continues where it may", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const [free, release] = gate();
    const handled: number[] = [];
    const slow = onOrder(
      "slow",
      async ({ event }) => {
        await free;
        handled.push(event.sequence);
      },
      { concurrency: 1, onGap: "continue" },
    );
    await stream.orders(Array.from({ length: 400 }, (_, n) => ({ id: n + 1, status: "new" })));
    await using worker = await startWorker({ url, automations: [slow], missedLookMs: 20 });
    await waitFor(async () => (await unsettled(stream, "slow")) === 2, { what: "two to be handed out" });
    await stream.keepOnly(10);
    await waitFor(async () => (await accounted(worker, "slow")) === 390, { what: "the gap to be accepted" });
    release();
    await waitFor(() => handled.at(-1) === 400, { what: "what is left" });

    // What it had in hand by then it has handled.
    expect(handled).toEqual([1, 2, ...Array.from({ length: 10 }, (_, at) => 391 + at)]);
    // The server drops them one by one: a look in the middle tells of the first part, the next one of the rest.
    const told = (await gapsTold(url)).map(({ after, upTo }) => [Number(after), Number(upTo)] as const);
    expect([told[0]?.[0], told.at(-1)?.[1]]).toEqual([0, 390]);
    expect(told.slice(1).map(([after]) => after)).toEqual(told.slice(0, -1).map(([, upTo]) => upTo));
    expect(worker.metrics.counts["slow.missed"]).toBe(told.length);
  });

  test("are also what a killed worker had in hand when the stream drops it before the next start", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const [free, release] = gate();
    const automations = [onOrder("slow", () => free, { concurrency: 1 })];
    for (let id = 1; id <= 2; id++) await stream.order("created", { id, status: "new" });
    const killed = await startWorker({ url, automations });
    await waitFor(async () => (await unsettled(stream, "slow")) === 2, { what: "both to be handed out" });
    await killed.kill();
    release();
    await stream.order("created", { id: 3, status: "new" });
    await stream.keepOnly(1);

    await using worker = await startWorker({ url, automations });
    await waitFor(() => failure(worker) !== undefined, { what: "the automation to stop" });
    expect(failure(worker)).toMatchObject({
      code: "AUTOMATION_GAP",
      message: "CDC_SHOP dropped the messages 1 to 2, and slow may not have settled its events among them",
    });
  });

  test("stop it while it runs where it may not continue", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const [free, release] = gate();
    const slow = onOrder("slow", () => free, { concurrency: 1 });
    await stream.orders(Array.from({ length: 400 }, (_, n) => ({ id: n + 1, status: "new" })));
    await using worker = await startWorker({ url, automations: [slow], missedLookMs: 20 });
    await waitFor(async () => (await unsettled(stream, "slow")) === 2, { what: "two to be handed out" });
    await stream.keepOnly(10);
    await waitFor(() => failure(worker) !== undefined, { what: "the automation to stop" });
    release();

    expect(failure(worker)).toMatchObject({
      code: "AUTOMATION_GAP",
      message: expect.stringMatching(
        /^CDC_SHOP dropped the messages 1 to \d+, and slow may not have settled its events among them$/,
      ),
    });
    await worker.stop();
    await using next = await startWorker({ url, automations: [slow] });
    await waitFor(() => failure(next) !== undefined, { what: "the automation to stop at its next start" });
  });
});

test.skipIf(missing("nats"))("a whole worker says so in its status, and goes on when it is asked to", async () => {
  await using nats = await freshNats();
  await using stream = await ShopStream.create(nats.url);
  let handled = 0;
  const automations = [onOrder("mail", () => void handled++)];
  const config = {
    bus: { servers: nats.url },
    sources: {}, // of a source that is another worker's nothing is asked
    automations,
  };
  const run = (adopt: boolean): Promise<WholeWorker> => startWholeWorker(config, { adopt });
  await stream.order("created", { id: 1, status: "new" });
  const first = await run(false);
  await waitFor(() => handled === 1, { what: "the first order" });
  await first.stop();
  for (let id = 2; id <= 5; id++) await stream.order("created", { id, status: "new" });
  await stream.keepOnly(1);

  const second = await run(false);
  const mail = (worker: WholeWorker) => worker.status().parts.find(({ id }) => id === "mail");
  await waitFor(() => mail(second)?.code === "AUTOMATION_GAP", { what: "the automation to stop" });
  expect([mail(second)?.ready, handled]).toEqual([false, 1]);
  await second.stop();

  const third = await run(true);
  await waitFor(() => handled === 2, { what: "what is left" });
  expect([mail(third), third.status().automations[0]?.gaps]).toMatchObject([{ ready: true, code: "GAP_RECORDED" }, 1]);
  await third.stop();
});

describe.skipIf(missing("nats"))("nothing is missed", () => {
  test("where what left was of no interest, was there before the automation, or nothing is on record of it", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const seen: string[] = [];
    const deletions = automation("deletions", { on: orders.deleted(), start: "now" }, ({ event }) => {
      seen.push(`deletions ${event.sequence}`);
    });
    const all = onOrder("all", ({ event }) => void seen.push(`all ${event.sequence}`));
    {
      await using worker = await startWorker({ url, automations: [deletions], missedLookMs: 20 });
      for (let id = 1; id <= 50; id++) await stream.order("created", { id, status: "new" });
      await waitFor(async () => (await accounted(worker, "deletions")) === 50, { what: "all to be accounted for" });
    }
    await stream.keepOnly(1);
    {
      await using worker = await startWorker({ url, automations: [deletions, all], missedLookMs: 20 });
      await waitFor(() => seen.includes("all 50"), { what: "what an automation finds that begins at the earliest" });
      const running = (): boolean => worker.running.status().every(({ state }) => state === "running");
      await waitFor(running, { what: "both to listen to all that they listen to" });
      expect(worker.running.status().map(({ gap }) => gap)).toEqual([undefined, undefined]);
    }
    // An older version kept none.
    const filter = "$KV.millrace_state.accounted.all.CDC_SHOP";
    await (await jetstreamManager(stream.nc)).streams.purge("KV_millrace_state", { filter });
    for (let id = 51; id <= 60; id++) await stream.order("created", { id, status: "new" });
    await stream.keepOnly(1);
    await stream.order("deleted", { id: 1, status: "new" });
    await using worker = await startWorker({ url, automations: [all] });
    await waitFor(() => seen.includes("all 60"), { what: "what is left" });
    expect([worker.metrics.counts["all.missed"], failure(worker)]).toEqual([undefined, undefined]);
  });
});

describe.skipIf(missing("nats"))("events that were taken out of the middle of the stream", () => {
  test("stop their automation, and none that had had them; by a limit per subject, while it is stopped", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const [handled, had]: [number[], number[]] = [[], []];
    const slow = onOrder("slow", ({ event }) => void handled.push(event.sequence));
    const quick = onOrder("quick", ({ event }) => void had.push(event.sequence));
    await stream.raw("meta.shop.writer", "", "{}"); // stays, so that nothing leaves from the front
    for (let id = 1; id <= 5; id++) await stream.order("created", { id, status: "new" });
    {
      await using _worker = await startWorker({ url, automations: [slow, quick] });
      await waitFor(() => handled.length === 5 && had.length === 5, { what: "the first orders" });
    }
    for (let id = 6; id <= 30; id++) await stream.order("created", { id, status: "new" });
    {
      await using _worker = await startWorker({ url, automations: [quick] });
      await waitFor(() => had.length === 30, { what: "the other one to have all" });
    }
    const { streams } = await jetstreamManager(stream.nc);
    await streams.update("CDC_SHOP", { max_msgs_per_subject: 3 });
    await streams.update("CDC_SHOP", { max_msgs_per_subject: -1 });
    {
      await using worker = await startWorker({ url, automations: [slow, quick], missedLookMs: 20 });
      await waitFor(() => worker.running.status()[0]?.state === "failed", { what: "the automation to stop" });
      expect(worker.running.status().map(({ reason }) => reason?.message)).toEqual([
        expect.stringContaining("22 of the messages 7 to 28 were taken out of CDC_SHOP, and slow may not have settled"),
        undefined,
      ]);
    }
  });

  test("are told by their count, once, and the others between them are handled", async () => {
    await using nats = await freshNats();
    const { url } = nats;
    await using stream = await ShopStream.create(url);
    const handled: number[] = [];
    const mail = onOrder("mail", ({ event }) => void handled.push(event.sequence));
    const take = async (...sequences: readonly number[]): Promise<void> => {
      const { streams } = await jetstreamManager(stream.nc);
      for (const sequence of sequences) await streams.deleteMessage("CDC_SHOP", sequence);
    };
    for (let id = 1; id <= 5; id++) await stream.order("created", { id, status: "new" });
    await take(2); // before it began: nobody was promised it
    {
      await using worker = await startWorker({ url, automations: [mail] });
      await waitFor(() => handled.length === 4, { what: "the first orders" });
      expect(failure(worker)).toBeUndefined();
    }
    for (let id = 6; id <= 12; id++) await stream.order("created", { id, status: "new" });
    await take(3, 7, 8, 10); // it had had 3
    {
      await using worker = await startWorker({ url, automations: [mail], missedLookMs: 20 });
      await waitFor(() => failure(worker) !== undefined, { what: "the automation to stop" });
      expect(failure(worker)).toMatchObject({
        code: "AUTOMATION_GAP",
        message: expect.stringMatching(
          /^\d of the messages 7 to \d+ were taken out of CDC_SHOP, and mail may not have settled/,
        ),
      });
    }
    await using worker = await startWorker({ url, automations: [mail], adopt: true });
    await waitFor(() => handled.length === 8, { what: "what is left" });
    expect(handled).toEqual([1, 3, 4, 5, 6, 9, 11, 12]);
    await waitFor(() => worker.metrics.counts["mail.missed"] === 1, { what: "the gap to be told" });
    expect((await gapsTold(url)).map(({ reason, after, upTo }) => [reason, after, upTo])).toEqual([
      [
        "3 of the messages 7 to 10 were taken out of CDC_SHOP, and mail may not have settled its events among them",
        "6",
        "10",
      ],
    ]);
  });
});

function gate(): [Promise<void>, () => void] {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return [opened, () => open()];
}
