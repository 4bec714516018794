// Automations that people pause, let go on and move, while workers run and while none does.

import { jetstreamManager } from "@nats-io/jetstream";
import { expect, onTestFinished, test } from "vitest";
import { readWaiting } from "../../../src/bus/jetstream/commands/automations-on-bus.ts";
import {
  type AutomationSteering,
  openAutomationSteering,
} from "../../../src/bus/jetstream/commands/steer-automation.ts";
import { OBEY_MS } from "../../../src/event/control.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { onOrder, startWorker } from "../../support/automations.ts";
import type { Note } from "../../support/check/automation-order.ts";
import { AutomationProcess } from "../../support/process/automation-process.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const skip = missing("nats");
const shop = "shop" as SourceId;
const asked = () => ({ by: "ann@desk", at: new Date().toISOString() });

async function steer(url: string, { signal } = new AbortController()): Promise<AutomationSteering> {
  const steering = await openAutomationSteering({ servers: [url], replicas: 1, signal });
  onTestFinished(() => steering[Symbol.asyncDispose]() as Promise<void>);
  return steering;
}

test.skipIf(skip)("a pause holds for all workers and for one that starts later, until it is resumed", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  const started: number[] = [];
  let letGo = (): void => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const mail = onOrder(
    "mail",
    async ({ event }) => {
      started.push(event.after.id);
      if (event.after.id === 1) await gone;
    },
    { concurrency: 1 },
  );
  await using first = await startWorker({ url, automations: [mail] });
  await using second = await startWorker({ url, automations: [mail] });
  await stream.order("created", { id: 1, status: "new" });
  await waitFor(() => started.length === 1, { what: "a handler" });
  // One that is in hand behind it, where it was handed to the same worker.
  for (let id = 2; id <= 4; id++) await stream.order("created", { id, status: "new" });
  await waitFor(() => started.length === 4 || started.length === 3 || started.length === 2, { what: "others" });

  const paused = await steering.pause("mail", asked());
  const before = [...started];
  expect(paused).toMatchObject({ already: false, running: true, control: { paused: { by: "ann@desk" } } });
  await using third = await startWorker({ url, automations: [mail] });
  for (let id = 5; id <= 9; id++) await stream.order("created", { id, status: "new" });
  letGo(); // what runs ends as it would
  const handled = (): number =>
    [first, second].reduce((sum, { metrics }) => sum + (metrics.counts["mail.handled"] ?? 0), 0);
  await waitFor(() => handled() === before.length, { what: "the end of what ran" });
  for (const worker of [first, second, third])
    await waitFor(() => worker.running.status()[0]?.state === "paused", { what: "the state of a worker" });
  expect(third.running.status()).toMatchObject([
    { state: "paused", running: 0, reason: { code: "AUTOMATION_PAUSED" }, paused: { by: "ann@desk" } },
  ]);
  const [listed] = await steering.list(["mail"]);
  expect(listed).toMatchObject({ id: "mail", state: "paused", paused: { by: "ann@desk" } });
  // What was given back counts as handed out until it is handed out again.
  expect((listed?.pending ?? 0) + (listed?.unacked ?? 0)).toBe(9 - before.length);
  expect(await steering.pause("mail", { ...asked(), by: "bob" })).toMatchObject({
    already: true,
    control: { paused: { by: "ann@desk" } },
  });
  expect(started).toEqual(before);

  expect(await steering.resume("mail")).toMatchObject({ already: false, running: true });
  await waitFor(() => started.length === 9, { what: "all of them" });
  expect(started.toSorted()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(await steering.resume("mail")).toMatchObject({ already: true, running: true });
});

test.skipIf(skip)("each is on record also while nothing runs, and a worker that starts goes by it", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  for (let id = 1; id <= 3; id++) await stream.order("created", { id, status: "new" });
  const started: number[] = [];
  const mail = onOrder("mail", ({ event }) => void started.push(event.after.id));

  expect(await steering.pause("mail", asked())).toMatchObject({ running: false });
  expect(await steering.seek("mail", 3, [shop], asked())).toMatchObject({
    running: false,
    control: { seek: { n: 1, to: "3", starts: { CDC_SHOP: 3 } } },
  });
  await using worker = await startWorker({ url, automations: [mail] });
  await waitFor(() => worker.running.status()[0]?.state === "paused", { what: "the pause" });
  expect(await steering.list(["mail"])).toMatchObject([{ state: "paused", durables: [] }]);
  expect(await steering.resume("mail")).toMatchObject({ running: true });
  await waitFor(() => started.length === 1, { what: "the third" });
  expect(started).toEqual([3]);
});

test.skipIf(skip)(
  "a seek hands out again from there, to all workers, in a run of its own that remembers no attempt",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const steering = await steer(url);
    const attempts: string[] = [];
    const mail = onOrder(
      "mail",
      ({ event, attempt }) => {
        attempts.push(`${event.after.id}.${attempt}`);
        if (event.after.status === "bad" && attempts.filter((one) => one.startsWith(`${event.after.id}.`)).length < 4)
          throw new Error("no");
      },
      { retry: { attempts: 5, min: "1m", max: "2m" } },
    );
    await stream.order("created", { id: 1, status: "new" });
    await stream.order("created", { id: 2, status: "bad" });
    await using first = await startWorker({ url, automations: [mail] });
    await using second = await startWorker({ url, automations: [mail] });
    await waitFor(() => attempts.length === 2, { what: "the first attempts" });

    const sought = await steering.seek("mail", "earliest", [shop], asked());
    expect(sought).toMatchObject({
      running: true,
      control: { seek: { n: 1, to: "earliest", starts: { CDC_SHOP: 1 } } },
    });
    expect(sought.control.seek?.skipped).toBeUndefined();
    await waitFor(() => attempts.length === 4, { what: "both again" });
    expect(attempts.toSorted()).toEqual(["1.1", "1.1", "2.1", "2.1"]);
    const jsm = await jetstreamManager(stream.nc);
    expect((await jsm.consumers.list("CDC_SHOP").next()).map(({ name }) => name)).toEqual(["mail_s1"]);
    const { state } = await jsm.streams.info("KV_millrace_state", { subjects_filter: ">" });
    const keys = Object.keys(state.subjects ?? {}).map((subject) => subject.replace("$KV.millrace_state.", ""));
    expect(
      keys
        .filter((key) => key.includes("mail"))
        .map((key) => key.replace(/[\da-f-]{36}$/, "…"))
        .toSorted(),
    ).toEqual([
      "accounted.mail.MILLRACE_RETRY",
      "accounted.mail_s1.CDC_SHOP",
      "attempts.mail.CDC_SHOP.2.seek-1",
      "control.mail",
    ]);
    expect([first, second].map((worker) => worker.running.status()[0]?.state)).toEqual(["running", "running"]);
  },
);

test.skipIf(skip)(
  "a seek that is cut off behind its record is done by the worker, which takes the place before away",
  async () => {
    const { url } = await freshNats();
    await using stream = await ShopStream.create(url);
    const ending = new AbortController();
    const cutOff = await steer(url, ending);
    const started: number[] = [];
    const mail = onOrder("mail", ({ event }) => void started.push(event.after.id));
    for (const id of [1, 2]) await stream.order("created", { id, status: "new" });
    await using worker = await startWorker({ url, automations: [mail], missedLookMs: 300 });
    await waitFor(() => worker.metrics.counts["mail.handled"] === 2, { what: "both events" });
    const seeking = cutOff.seek("mail", "earliest", [shop], asked()).catch(() => "cut off");
    await waitFor(async () => (await cutOff.state.get("control.mail")) !== undefined, { what: "the record" });
    ending.abort();
    expect(await seeking).toBe("cut off");

    await waitFor(() => worker.metrics.counts["mail.handled"] === 4, { what: "both once more" });
    expect(started.toSorted()).toEqual([1, 1, 2, 2]);
    const jsm = await jetstreamManager(stream.nc);
    const names = async (): Promise<string> =>
      (await jsm.consumers.list("CDC_SHOP").next()).map(({ name }) => name).join();
    await waitFor(async () => (await names()) === "mail_s1", { what: "the durable before to be taken away" });
  },
);

test.skipIf(skip)("a seek to now passes over what waits, and says what that was", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  const started: number[] = [];
  const mail = onOrder("mail", ({ event }) => void started.push(event.after.id));
  await using worker = await startWorker({ url, automations: [mail] });
  await stream.order("created", { id: 1, status: "new" });
  await waitFor(() => worker.metrics.counts["mail.handled"] === 1, { what: "the first" });
  await steering.pause("mail", asked());
  for (let id = 2; id <= 4; id++) await stream.order("created", { id, status: "new" });

  const { control } = await steering.seek("mail", "now", [shop], asked());
  expect(control).toMatchObject({ seek: { starts: { CDC_SHOP: 5 }, skipped: { CDC_SHOP: [2, 4] } } });
  await steering.resume("mail");
  await stream.order("created", { id: 5, status: "new" });
  await waitFor(() => started.length === 2, { what: "what came after" });
  expect(started).toEqual([1, 5]);
});

test.skipIf(skip)("a seek to a time begins at the first message that was stored then or later", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  for (let id = 1; id <= 4; id++) await stream.order("created", { id, status: "new" });
  const jsm = await jetstreamManager(stream.nc);
  const third = await jsm.streams.getMessage("CDC_SHOP", { seq: 3 });
  // The server keeps nanoseconds, and a Date has none.
  const time = new Date(Math.floor((third?.time ?? new Date()).getTime()));
  const { control } = await steering.seek("mail", time, [shop], asked());
  const start = control.seek?.starts.CDC_SHOP ?? 0;
  const stored = async (seq: number): Promise<number> =>
    ((await jsm.streams.getMessage("CDC_SHOP", { seq }))?.time ?? new Date(0)).getTime();
  expect(await stored(start)).toBeGreaterThanOrEqual(time.getTime());
  if (start > 1) expect(await stored(start - 1)).toBeLessThan(time.getTime());
});

test.skipIf(skip)("a worker that the bus does not reach begins nothing by what it knew before a pause", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  const notes: Note[] = [];
  await using worker = new AutomationProcess(
    { url, automations: ["mail"], ackWaitMs: 60_000, concurrency: 1 },
    (note) => notes.push(note),
  );
  for (let id = 1; id <= 40; id++) await stream.order("created", { id, status: "slow:50" });
  await waitFor(() => notes.length > 2, { what: "handlers" });
  worker.freeze();
  await steering.pause("mail", asked());
  const at = Date.now();
  worker.wake();
  await waitFor(() => worker.log.includes("automation_paused"), { what: "the worker to hear of it" });
  await waitFor(() => notes.at(-1)?.what === "ok", { what: "the end of what ran" });
  expect(notes.filter((note) => note.what === "start" && note.at > at)).toEqual([]);

  await steering.resume("mail");
  // What it had in hand was given back: it comes at once, and not when the bus would give the worker up.
  await waitFor(() => notes.filter((note) => note.what === "ok").length === 40, { what: "all" });
});

test.skipIf(skip)("a bus that was set back does not undo a pause that a worker knows of", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  const mail = onOrder("mail", () => {});
  await using worker = await startWorker({ url, automations: [mail] });
  await steering.pause("mail", asked());
  await waitFor(() => worker.running.status()[0]?.state === "paused", { what: "the pause" });
  await worker.bus.state.delete("control.mail");
  await waitFor(async () => (await worker.bus.state.get("control.mail")) !== undefined, {
    what: "the record",
    timeoutMs: OBEY_MS,
  });
  expect(await steering.list(["mail"])).toMatchObject([{ state: "paused" }]);
  await stream.order("created", { id: 1, status: "new" });
  expect(await steering.resume("mail")).toMatchObject({ already: false, running: true });
  await waitFor(() => worker.metrics.counts["mail.handled"] === 1, { what: "the event" });
});

test.skipIf(skip)("what the configuration no longer has is listed as orphaned, what never ran as new", async () => {
  const { url } = await freshNats();
  await using stream = await ShopStream.create(url);
  const steering = await steer(url);
  await stream.order("created", { id: 1, status: "new" });
  {
    await using worker = await startWorker({ url, automations: [onOrder("old", () => {})] });
    await waitFor(() => worker.metrics.counts["old.handled"] === 1, { what: "the event" });
    const event = { stream: "CDC_SHOP", sequence: 1, subject: "", headers: {}, data: Buffer.of() };
    for (const automation of ["old", "new"])
      await worker.bus.later({ automation, ...event, attempts: 1, dueAt: Date.now() + 60_000 });
    expect(await steering.list(["old", "new"])).toMatchObject([
      { id: "old", state: "running", pending: 0 },
      { id: "new", state: "new" },
    ]);
  }
  expect((await steering.list(["new"])).map(({ id, state }) => [id, state])).toEqual([
    ["new", "new"],
    ["old", "orphaned"],
  ]);
  const { signal } = new AbortController();
  expect(await readWaiting({ servers: [url] }, signal)).toEqual(
    new Map([
      ["new", 1],
      ["old", 1],
    ]),
  );
  expect(await steering.list(["old"])).toMatchObject([
    { id: "old", state: "stopped" },
    { id: "new", state: "orphaned", waiting: 1 },
  ]);
});
