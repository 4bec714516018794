// `millrace dead replay` and `millrace replay`, killed at each of their steps: what they hand out is never lost, and once.

import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { messagesUnder } from "../../src/bus/jetstream/client/streams.ts";
import { onOrder, startWorker } from "../support/automations.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { type CommandResult, runCommand } from "../support/process/run-command.ts";
import { shopConfig } from "../support/process/shop-commands.ts";
import { freshNats, missing } from "../support/servers.ts";
import { ShopStream } from "../support/shop-stream.ts";
import { waitFor } from "../support/wait-for.ts";

/** The nth message on a subject at which a command is killed; of what asks the bus, before it has the answer. */
type KilledAt = readonly [nth: number, subject: string];

async function killedAt(
  nc: NatsConnection,
  [nth, subject]: KilledAt,
  run: (kill: AbortSignal) => Promise<CommandResult>,
): Promise<CommandResult> {
  const killing = new AbortController();
  let left = nth;
  const watching = nc.subscribe(subject, {
    callback: () => {
      if (--left === 0) killing.abort();
    },
  });
  await nc.flush();
  const ended = await run(killing.signal);
  watching.unsubscribe();
  expect([nth, subject, ended.code]).toEqual([nth, subject, null]);
  return ended;
}

const HANDED_OUT = "retry.mail";
const TAKEN_AWAY = "$JS.API.STREAM.MSG.DELETE.MILLRACE_DEAD";
const TOLD = "events._system.dead.replayed.>";
const ON_RECORD = "$KV.millrace_state.replay.>";

/** The orders whose events wait in MILLRACE_RETRY, one as often as it does. */
async function waitingOrders(nc: NatsConnection): Promise<readonly number[]> {
  const orders: number[] = [];
  for await (const { data } of messagesUnder(await jetstreamManager(nc), "MILLRACE_RETRY", "retry.mail"))
    orders.push(JSON.parse(Buffer.from(data).toString()).after.id);
  return orders;
}

const oneTo = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n + 1);
const ascending = (numbers: readonly number[]): readonly number[] => numbers.toSorted((a, b) => a - b);

/** What waits is handled, each of it once. */
async function handled(url: string, count: number): Promise<void> {
  const seen: number[] = [];
  const mail = onOrder("mail", ({ event }) => void seen.push(event.after.id), { start: "now" });
  await using worker = await startWorker({ url, automations: [mail] });
  await waitFor(async () => (await worker.running.status()[0]?.held) === 0 && seen.length >= count, {
    what: "all of them",
  });
  expect(ascending(seen)).toEqual(oneTo(count));
}

describe.skipIf(missing("nats"))("a command that is killed", () => {
  test("leaves dead letters that it has not handed out, and each is handed out once in the end", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const letters = 200;
    await stream.orders(oneTo(letters).map((id) => ({ id, status: "new" })));
    {
      const fatal = onOrder("mail", ({ fatal }) => {
        throw fatal("never");
      });
      await using worker = await startWorker({ url, automations: [fatal] });
      await waitFor(() => worker.metrics.counts["mail.fatal"] === letters, { what: "the letters" });
    }
    const cwd = await shopConfig(url);
    const replay = (kill?: AbortSignal): Promise<CommandResult> =>
      runCommand(["dead", "replay", "mail", "--yes"], { cwd, ...(kill && { kill }) });
    const steps: readonly KilledAt[] = [
      [50, HANDED_OUT],
      [1, TOLD],
      [30, TAKEN_AWAY],
    ];
    const jsm = await jetstreamManager(stream.nc);
    const left = async (): Promise<number> => (await jsm.streams.info("MILLRACE_DEAD")).state.messages;
    for (const step of steps) {
      await killedAt(stream.nc, step, replay);
      expect(new Set(await waitingOrders(stream.nc)).size).toBeGreaterThanOrEqual(letters - (await left()));
    }
    expect(await replay()).toMatchObject({ code: 0 });

    expect(await left()).toBe(0);
    expect(ascending(await waitingOrders(stream.nc))).toEqual(oneTo(letters));
    const told = (await readStream(url, "MILLRACE_EVENTS"))
      .filter(({ subject }) => subject.startsWith("events._system.dead.replayed."))
      .flatMap(({ text }) => JSON.parse(text).letters as number[]);
    expect(new Set(told).size).toBe(letters);
    // Twice only what was told of behind the second kill, and not taken away by then, or by the third.
    expect(told.length).toBeLessThanOrEqual(letters + 200);
    await handled(url, letters);
  });

  test("goes on with a run of the past where it was, with the same range, and hands out each event once", async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const events = 1200;
    await stream.orders(oneTo(events).map((id) => ({ id, status: "new" })));
    const cwd = await shopConfig(url);
    let named: string | undefined;
    const replay = async (kill?: AbortSignal): Promise<CommandResult> => {
      const goesOn = named === undefined ? [] : ["--run", named];
      const ended = await runCommand(["replay", "--automation", "mail", ...goesOn], { cwd, ...(kill && { kill }) });
      named ??= /replay-[0-9a-f-]+/.exec(ended.stderr)?.[0];
      return ended;
    };
    const steps: readonly KilledAt[] = [
      [300, HANDED_OUT],
      [2, ON_RECORD],
      [50, HANDED_OUT],
    ];
    for (const step of steps) await killedAt(stream.nc, step, replay);
    await stream.order("created", { id: events + 1, status: "late" });
    expect(await replay()).toMatchObject({ code: 0 });
    expect(ascending(await waitingOrders(stream.nc))).toEqual(oneTo(events));

    const again = await replay();
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("REPLAY_RUN")]);
    await handled(url, events);
  });
});
