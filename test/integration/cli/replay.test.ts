// `millrace replay`: events of the past once more, to one automation alone.

import { jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import {
  type EventReplay,
  openEventReplay,
  type ReplayRequest,
} from "../../../src/bus/jetstream/commands/replay-events.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import { shopCommand } from "../../support/process/shop-commands.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const count = z.int().nonnegative();
const event = z.strictObject({
  stream: z.string(),
  sequence: count,
  id: z.string(),
  subject: z.string(),
  at: z.iso.datetime(),
});
/** As docs/cli.md has it. */
const report = z.strictObject({
  automation: z.string(),
  run: z.string(),
  dryRun: z.boolean(),
  matched: count,
  streams: z.array(
    z.strictObject({
      stream: z.string(),
      from: count,
      to: count,
      matched: count,
      first: event.nullable(),
      last: event.nullable(),
      sample: z.array(event),
      left: z.string().nullable(),
    }),
  ),
});

async function opened(url: string, signal: AbortSignal): Promise<EventReplay> {
  const replaying = await openEventReplay({ servers: [url], replicas: 1, signal });
  onTestFinished(() => replaying[Symbol.asyncDispose]() as Promise<void>);
  return replaying;
}

const mails: Omit<ReplayRequest, "run"> = {
  automation: "mail",
  streams: [{ stream: "CDC_SHOP", filters: ["cdc.shop.public.orders.created.*"] }],
  dry: false,
  wanted: async () => true,
  onProgress: () => {},
};

describe.skipIf(missing("nats"))("millrace replay", () => {
  test("hands out a range by the automation's triggers and a pattern, to it alone; a dry run only says what that would be", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const picky =
      'automation("mail", { on: orders.created(), where: { after: { status: [{ "anything-but": ["test"] }] } } }, () => {})';
    const run = await shopCommand(url, ["replay", "--automation", "mail"], picky);
    const started: string[] = [];
    const work = (name: string) =>
      onOrder(name, ({ event, attempt }) => void started.push(`${name} ${event.after.id}.${attempt}`));
    await using _worker = await startWorker({ url, automations: [work("mail"), work("bill")] });
    const status = ["new", "paid", "test", "paid", "paid", "new", "paid", "paid"];
    for (const [nth, one] of status.entries())
      await stream.order(nth === 4 ? "updated" : "created", { id: nth + 1, status: one });
    await waitFor(() => started.length === 14, { what: "the first time" });
    started.length = 0;

    const range = ["--from", "2", "--to", "7", "--json"];
    const dry = await run(...range, "--dry-run");
    expect([dry.code, report.parse(JSON.parse(dry.stdout))]).toMatchObject([
      0,
      {
        dryRun: true,
        matched: 4,
        streams: [{ from: 2, to: 7, first: { sequence: 2 }, last: { sequence: 7 }, left: null }],
      },
    ]);
    expect(started).toEqual([]);
    const done = await run(...range, "--where", '{"after":{"status":["paid"]}}');
    expect(report.parse(JSON.parse(done.stdout))).toMatchObject({
      dryRun: false,
      matched: 3,
      run: expect.stringMatching(/^replay-/),
    });
    await waitFor(() => started.length === 3, { what: "those of the range" });
    expect(started.toSorted()).toEqual(["mail 2.1", "mail 4.1", "mail 7.1"]);

    await stream.keepOnly(3);
    expect((await run("--from", "2", "--dry-run")).stdout).toContain("#2 to #5 have left it");
    const refused = await Promise.all([run("--from", "soon"), run("--run", "dead-1"), run("--where", "{")]);
    expect(refused.map(({ code, stderr }) => [code, stderr.split(":")[0]])).toEqual([
      [2, "REPLAY_RANGE"],
      [2, "REPLAY_RUN"],
      [2, "INPUT_UNREADABLE"],
    ]);
  });

  test("waits for the automation, goes on where it was interrupted, and hands out each event once", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const events = 3600;
    for (let id = 1; id <= events; id++) await stream.order("created", { id, status: "new" });
    const stopping = new AbortController();
    const first = await opened(url, stopping.signal);
    let most = 0;
    // No worker runs: it stops by itself where enough waits.
    const begun = first.replay({
      ...mails,
      run: "replay-1",
      onProgress: ({ waiting }) => {
        most = Math.max(most, waiting);
        if (waiting > 0) stopping.abort();
      },
    });
    await expect(begun).rejects.toThrow();
    expect(most).toBeGreaterThan(2000);
    expect(most).toBeLessThanOrEqual(2500);

    const seen = new Map<number, number>();
    const mail = onOrder("mail", ({ event }) => void seen.set(event.after.id, (seen.get(event.after.id) ?? 0) + 1), {
      start: "now",
    });
    await using worker = await startWorker({ url, automations: [mail] });
    const again = await opened(url, new AbortController().signal);
    const done = await again.replay({ ...mails, run: "replay-1" });
    expect(done).toMatchObject([{ matched: events, to: events }]);
    await waitFor(() => seen.size === events, { what: "all of them" });
    expect([...seen.values()].every((times) => times === 1)).toBe(true);
    expect(await worker.bus.state.keys("replay.")).toEqual([]);
    const jsm = await jetstreamManager(stream.nc);
    await waitFor(async () => (await jsm.streams.info("MILLRACE_RETRY")).state.messages === 0, {
      what: "the last acks",
    });
  });
});
