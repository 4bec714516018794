// A worker that reads MongoDB through what goes wrong, on the wire double and a real nats-server: what the stream says in the end.

import { describe, expect, test } from "vitest";
import type { Worker } from "../../../../src/app.ts";
import { verifyStream } from "../../../../src/bus/jetstream/verify/verify-stream.ts";
import type { NatsServer } from "../../../../src/dev/nats-server.ts";
import { HistoryLostError } from "../../../../src/errors.ts";
import { silentLogger } from "../../../../src/telemetry/logger.ts";
import { readStream, type StreamEvent } from "../../../support/bus/stream-events.ts";
import { RESUMABLE } from "../../../support/mongodb/double/failpoints.ts";
import { DoubleShop, SHOP, type ShopOptions } from "../../../support/mongodb/double-shop.ts";
import { RecordedLog } from "../../../support/postgres/recorded-log.ts";
import { freshNats, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

async function servers(options: ShopOptions = {}): Promise<{ shop: DoubleShop; nats: NatsServer }> {
  return { shop: await DoubleShop.start(options), nats: await freshNats({ syncInterval: "always" }) };
}

const keyOf = ({ text }: StreamEvent): unknown => JSON.parse(text).key._id;
const changes = (events: readonly StreamEvent[]): readonly StreamEvent[] =>
  events.filter(({ subject }) => subject.startsWith("cdc."));

/** Waits until the stream has a change of this `_id`; all of its messages but writers' markers. */
async function untilStored(nats: NatsServer, id: number): Promise<readonly StreamEvent[]> {
  const look = async (): Promise<readonly StreamEvent[] | undefined> => {
    const events = await readStream(nats.url, "CDC_SHOP");
    return changes(events).some((event) => keyOf(event) === id) ? events : undefined;
  };
  const events = await waitFor(look, { what: `the event of ${id}` });
  return events.filter(({ subject }) => subject !== "meta.shop.writer");
}

async function expectWhole(nats: NatsServer): Promise<void> {
  const { signal } = new AbortController();
  const options = { servers: [nats.url], onProgress: () => {}, log: silentLogger, signal };
  expect(await verifyStream({ ...options, source: SHOP })).toMatchObject({ ok: true, findings: [] });
}

const state = (worker: Worker): string | undefined => worker.status().sources[0]?.state;

async function running(worker: Worker): Promise<void> {
  await waitFor(() => state(worker) === "running", { what: "the source to run" });
}

describe.skipIf(missing("nats"))("a worker of a MongoDB source", () => {
  test("waits longer and longer while each answer is an error that passes, says it once, and then goes on", async () => {
    const { shop, nats } = await servers();
    const log = new RecordedLog();
    const worker = await shop.worker(nats, { log });
    await running(worker);
    shop.insert(1);
    await untilStored(nats, 1);
    const { received } = shop.double;
    const from = received.length;
    shop.double.fail({ command: "getMore", code: 91, codeName: "ShutdownInProgress", labels: RESUMABLE, times: 5 });
    await waitFor(() => shop.double.armed === 0, { what: "the errors to be over" });
    shop.insert(2);
    const events = await untilStored(nats, 2);
    const opened = received
      .slice(from)
      .filter(({ name, body }) => name === "aggregate" && body.pipeline[0].$changeStream.startAfter !== undefined);
    const pauses = opened.slice(1).map(({ atMs }, nth) => atMs - (opened[nth]?.atMs ?? 0));

    expect(opened).toHaveLength(5);
    // The pause behind the n-th error is 250 ms, doubled each time, at least; an opening lies behind each.
    for (const [nth, pause] of pauses.entries()) expect(pause).toBeGreaterThan(500 * 2 ** nth - 1);
    expect(received.slice(from).filter(({ name }) => name === "aggregate").length).toBeLessThanOrEqual(15);
    expect(changes(events).map(keyOf)).toEqual([1, 2]);
    expect(log.of("source_retrying").map(({ code }) => code)).not.toContain("SOURCE_FAILED");
    await expectWhole(nats);
  });

  test("goes on through lost connections, killed cursors, elections and a restart, with each change once", async () => {
    const { shop, nats } = await servers({ nodes: 2 });
    await running(await shop.worker(nats));
    const faults = [
      () => shop.double.cut(),
      () => shop.double.killCursors(),
      () => shop.double.elect(1),
      () => shop.double.fail({ command: "getMore", close: true }),
      () => shop.double.stop().then(() => shop.double.restart()),
    ];
    for (const [nth, fault] of faults.entries()) {
      shop.insert(10 * nth + 1);
      await fault();
      shop.insert(10 * nth + 2);
      await untilStored(nats, 10 * nth + 2);
    }
    const events = await untilStored(nats, 42);

    expect(changes(events).map(keyOf)).toEqual([1, 2, 11, 12, 21, 22, 31, 32, 41, 42]);
    await expectWhole(nats);
  });

  test("whose oplog was truncated stops, and says how to go on; nothing begins from now in silence", async () => {
    const { shop, nats } = await servers();
    const first = await shop.worker(nats);
    await running(first);
    shop.insert(1);
    await untilStored(nats, 1);
    await first.stop();
    shop.insert(2);
    shop.double.oplog.truncate();
    shop.insert(3);
    const second = await shop.worker(nats);
    const error = await second.finished.catch((thrown: unknown) => thrown);
    const events = await readStream(nats.url, "CDC_SHOP");

    expect(error).toBeInstanceOf(HistoryLostError);
    expect(error).toMatchObject({ code: "OPLOG_LOST", hint: expect.stringMatching(/--adopt/) });
    expect(changes(events).map(keyOf)).toEqual([1]);
    expect(events.some(({ subject }) => subject === "meta.shop.gap")).toBe(false);
  });

  test('goes on behind a gap by onGap: "continue", when it starts and while it runs', async () => {
    const { shop, nats } = await servers({ section: { onGap: "continue" } });
    const first = await shop.worker(nats);
    await running(first);
    shop.insert(1);
    await untilStored(nats, 1);
    await first.stop();
    shop.insert(2);
    shop.double.oplog.truncate();
    const second = await shop.worker(nats);
    const said = async (gaps: number): Promise<boolean> =>
      (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => subject === "meta.shop.gap").length === gaps;
    await waitFor(() => said(1), { what: "the first gap" });
    await running(second);
    shop.insert(3);
    await untilStored(nats, 3);
    shop.double.fail({ command: "getMore", code: 286, labels: ["NonResumableChangeStreamError"] });
    await waitFor(() => said(2), { what: "the second gap" });
    await running(second);
    shop.insert(4);
    const events = await untilStored(nats, 4);
    const told = events.map(({ subject, text }) =>
      subject.startsWith("cdc.") ? JSON.parse(text).key._id : subject.slice(10),
    );

    expect(told.filter((one) => one !== "ddl")).toEqual(["history", 1, "gap", "history", 3, "gap", "history", 4]);
    for (const event of events.filter(({ subject }) => subject === "meta.shop.gap"))
      expect(JSON.parse(event.text)).toMatchObject({ code: "OPLOG_LOST" });
    await expectWhole(nats);
  });

  test("stores the body of a document of 15 MB beside the stream, and what comes behind it in its place", async () => {
    const { shop, nats } = await servers();
    await running(await shop.worker(nats));
    const text = "x".repeat(15_000_000);
    shop.insert(1, { _id: 2, text }, 3);
    const events = changes(await untilStored(nats, 3));
    const large = events[1];

    expect(events.map(keyOf)).toEqual([1, 2, 3]);
    expect(large?.header("ce-dataref")).toMatch(/^millrace_large\//);
    expect(JSON.parse(large?.text ?? "").after.text.length).toBe(text.length);
    await expectWhole(nats);
  });

  test("keeps the place of a quiet collection beside a busy one, so that it never falls off the oplog", async () => {
    const { shop, nats } = await servers();
    const first = await shop.worker(nats);
    await running(first);
    shop.insert(1);
    await untilStored(nats, 1);
    const busy = setInterval(
      () => shop.double.oplog.write("other", [{ insert: "noise", document: { _id: Math.random() } }]),
      200,
    );
    const { oplog } = shop.double;
    const before = oplog.time;
    const isBehind = (): boolean =>
      shop.double.received.some(({ name, body }) => {
        const token = name === "aggregate" && body.pipeline[0].$changeStream.startAfter?._data;
        return typeof token === "string" && Number.parseInt(token.slice(2, 10), 16) > before.t;
      });
    await waitFor(() => oplog.time.t > before.t + 12, { what: "the noise to go on for a while" });
    clearInterval(busy);
    await first.stop();
    oplog.tick();
    const second = await shop.worker(nats);
    await running(second);

    expect(isBehind()).toBe(true);
    shop.insert(2);
    expect(changes(await untilStored(nats, 2)).map(keyOf)).toEqual([1, 2]);
  });

  test("that may not read ends with that, and leaves nothing on the bus; one whose rights are taken waits for them", async () => {
    const { shop, nats } = await servers();
    const refuse = (times: number): void =>
      shop.double.fail({
        command: "aggregate",
        code: 13,
        codeName: "Unauthorized",
        message: "not authorized on shop",
        times,
      });
    refuse(99);
    const refused = await shop.worker(nats);
    const error = await refused.finished.catch((thrown: unknown) => thrown);
    await refused.stop();
    const left = await readStream(nats.url, "CDC_SHOP");
    shop.double.heal();
    const worker = await shop.worker(nats);
    await running(worker);
    refuse(4);
    shop.double.killCursors();
    await waitFor(() => state(worker) === "retrying", { what: "the source to wait" });
    shop.insert(1);
    const events = await untilStored(nats, 1);

    expect(error).toMatchObject({
      name: "ConfigError",
      code: "PERMISSION_MISSING",
      hint: expect.stringMatching(/sql role/),
    });
    expect(left).toEqual([]);
    expect(changes(events).map(keyOf)).toEqual([1]);
  });

  test("whose server is away at the start begins when it is there", async () => {
    const { shop, nats } = await servers();
    await shop.double.stop();
    const log = new RecordedLog();
    const worker = await shop.worker(nats, { log });
    await waitFor(() => log.count("source_retrying") > 0, { what: "the source to wait" });
    await shop.double.restart();
    await running(worker);
    shop.insert(1);

    expect(changes(await untilStored(nats, 1)).map(keyOf)).toEqual([1]);
    expect(log.of("source_retrying").map(({ code }) => code)).toEqual(["SOURCE_UNREACHABLE"]);
  });
});
