// A worker whose source has lost its history: it stops and says so, or goes on and the stream says so.

import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker, type WorkerOptions } from "../../../src/app.ts";
import { verifyStream } from "../../../src/bus/jetstream/verify/verify-stream.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { HistoryLostError } from "../../../src/errors.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Readiness } from "../../../src/monitor/status.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { readStream, type StreamEvent } from "../../support/bus/stream-events.ts";
import { RecordedLog } from "../../support/postgres/recorded-log.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const timing = { idleCheckMs: 500 };

interface Shop {
  readonly database: Database;
  readonly nats: NatsServer;
  start(options?: WorkerOptions & { readonly onGap?: string; readonly sources?: readonly string[] }): Promise<Worker>;
  insert(...ids: readonly number[]): Promise<void>;
  /** Waits until a row's event is the stream's newest. */
  until(id: number, source?: string): Promise<void>;
}

async function freshShop(): Promise<Shop> {
  const nats = await freshNats({ syncInterval: "always" });
  const database = await freshDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query("create table orders(id int primary key)");
  return {
    database,
    nats,
    start: async ({ onGap, ...options } = {}) => {
      const source = { kind: "postgres", url: database.url, ...(onGap ? { onGap } : {}) };
      const sources = { shop: source, crm: { kind: "postgres", url: database.url } };
      const config = { bus: { servers: nats.url, fsync: "always" }, sources };
      const worker = await startWorker(config, { timing, sources: ["shop"], ...options });
      worker.finished.catch(() => {}); // the test that waits for it sees it
      onTestFinished(() => worker.stop());
      return worker;
    },
    insert: async (...ids) => {
      for (const id of ids) await database.query("insert into orders values ($1)", [id]);
    },
    until: async (id, source = "shop") => {
      const [stream, subject] = [`CDC_${source.toUpperCase()}`, `cdc.${source}.public.orders.created.*`];
      const isThere = async (): Promise<boolean> =>
        (await newest<{ key: { id: number } }>(nats, stream, subject))?.key.id === id;
      await waitFor(isThere, { what: `the event of row ${id}` });
    },
  };
}

/** The body of the newest message of a subject. */
async function newest<Body>(nats: NatsServer, stream: string, subject: string): Promise<Body | undefined> {
  const connection = await connect({ servers: nats.url, reconnect: false });
  try {
    const { streams } = await jetstreamManager(connection);
    return (await streams.getMessage(stream, { last_by_subj: subject }))?.json<Body>();
  } finally {
    await connection.close();
  }
}

function idOf({ subject, text }: StreamEvent): unknown {
  return subject.startsWith("cdc.") ? JSON.parse(text).key.id : undefined;
}

function readiness(worker: Worker, source: string): Readiness | undefined {
  return worker.status().parts.find(({ kind, id }) => kind === "source" && id === source);
}

async function running(worker: Worker): Promise<void> {
  // Behind a gap it says so too.
  const runs = ({ id, state }: { readonly id: string; readonly state: string }): boolean =>
    readiness(worker, id)?.ready === true && state === "running";
  await waitFor(() => worker.status().sources.every(runs), { what: "the sources to run" });
}

const dropSlot = async ({ database }: Shop, slot = "millrace_shop"): Promise<void> => {
  await waitFor(
    async () => {
      await database.query("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", [
        slot,
      ]);
      await database.query("select pg_drop_replication_slot($1)", [slot]);
      return true;
    },
    { what: "the slot to be dropped" },
  );
};

/** What a subscriber must find: the gap's marker, the history's, then only what belongs to it; a chain without a break. */
async function expectNewHistory(
  shop: Shop,
  code: string,
): Promise<{ readonly before: StreamEvent[]; readonly after: StreamEvent[] }> {
  const { signal } = new AbortController();
  const options = { servers: [shop.nats.url], onProgress: () => {}, log: silentLogger, signal };
  const report = await verifyStream({ ...options, source: "shop" as SourceId });
  expect(report).toMatchObject({ ok: true, findings: [] });

  const events = (await readStream(shop.nats.url, "CDC_SHOP")).filter(({ subject }) => subject !== "meta.shop.writer");
  const gapAt = events.findIndex(({ subject }) => subject === "meta.shop.gap");
  const [gap, history] = events.slice(gapAt);
  const before = events.slice(0, gapAt);
  const after = events.slice(gapAt + 2);
  const last = before.at(-1)?.header("Cdc-Pos");
  const first = gap?.header("Cdc-Pos") ?? "";
  expect(JSON.parse(gap?.text ?? "")).toMatchObject({ code, after: expect.stringMatching(/^0001\./), upTo: first });
  expect(JSON.parse(gap?.text ?? "").after >= (last ?? "")).toBe(true);
  expect(history?.subject).toBe("meta.shop.history");
  expect(JSON.parse(history?.text ?? "")).toMatchObject({ code, history: 2, slot: "millrace_shop" });
  expect(before.every((event) => event.header("Cdc-Pos")?.startsWith("0001.") === true)).toBe(true);
  for (const event of [gap, history, ...after]) expect(event?.header("Cdc-Pos")).toMatch(/^0002\./);
  for (const event of after) expect((event.header("ce-id") ?? "") > `shop.${first}`).toBe(true);
  return { before, after };
}

describe.skipIf(missing("postgres", "nats"))("a worker whose source lost its history", () => {
  test("stops with it, and readiness says why; while another source runs, it goes on with that one", async () => {
    const shop = await freshShop();
    const first = await shop.start({ sources: ["shop", "crm"] });
    await running(first);
    await shop.insert(1);
    await Promise.all([shop.until(1), shop.until(1, "crm")]);
    await first.stop();
    await dropSlot(shop);

    const worker = await shop.start({ sources: ["shop", "crm"] });
    await waitFor(() => worker.status().sources[0]?.state === "stopped", { what: "the source to stop" });
    expect(readiness(worker, "shop")).toMatchObject({
      ready: false,
      reason: "stopped: SLOT_MISSING: the slot millrace_shop was dropped",
    });
    await shop.insert(2);
    await shop.until(2, "crm");
    expect(readiness(worker, "crm")).toMatchObject({ ready: true });
    await dropSlot(shop, "millrace_crm");

    const end = await worker.finished.catch((error: unknown) => error);
    expect(end).toBeInstanceOf(HistoryLostError);
    expect(end).toMatchObject({ code: "SLOT_MISSING" });
  });

  test("whose saved checkpoint somebody deleted says that, and that perhaps nothing is lost; --adopt goes on", async () => {
    const shop = await freshShop();
    const first = await shop.start();
    await running(first);
    await shop.insert(1);
    await shop.until(1);
    // Log without events: only the checkpoint says that the source is behind it.
    const [end] = await shop.database.query<{ lsn: string }>(
      "select pg_logical_emit_message(true, 'other', repeat('x', 9000))::text as lsn",
    );
    const passed = async (): Promise<boolean> => {
      const slots = await shop.database.query<{ passed: boolean }>(
        `select confirmed_flush_lsn > '${end?.lsn}'::pg_lsn as passed from pg_replication_slots where slot_name = 'millrace_shop'`,
      );
      return slots[0]?.passed === true;
    };
    await waitFor(passed, { what: "the idle log to be acknowledged" });
    await first.stop();
    const connection = await connect({ servers: shop.nats.url });
    onTestFinished(() => connection.close());
    await (await new Kvm(connection).open("millrace_state")).delete("checkpoint.shop");

    const log = new RecordedLog();
    const second = await shop.start({ log });
    const thrown = await second.finished.catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: "SLOT_ADVANCED", hint: expect.stringContaining("CHECKPOINT_MISSING") });
    expect(log.of("checkpoint_missing")).toMatchObject([{ source: "shop", code: "CHECKPOINT_MISSING" }]);
    await second.stop();
    await running(await shop.start({ adopt: true }));
    await shop.insert(2);
    await shop.until(2);
  });

  test("goes on by --adopt once: the stream names the gap, and what follows is of the new history", async () => {
    const shop = await freshShop();
    const first = await shop.start();
    await running(first);
    await shop.insert(1);
    await shop.until(1);
    await first.stop();
    await dropSlot(shop);
    await shop.insert(2);

    const log = new RecordedLog();
    const worker = await shop.start({ adopt: true, log });
    await running(worker);
    await waitFor(() => log.count("source_gap") > 0, { what: "the gap to be said" });
    await shop.insert(3);
    await shop.until(3);
    const { before, after } = await expectNewHistory(shop, "SLOT_MISSING");
    expect([before, after].map((events) => events.map(idOf).filter(Boolean))).toEqual([[1], [3]]);
    expect(readiness(worker, "shop")).toMatchObject({ ready: true });

    await dropSlot(shop);
    expect(await worker.finished.catch((error: unknown) => error)).toMatchObject({ code: "SLOT_MISSING" });
  });

  test("shows the gap for the rest of its hour when it is started again, also once a table has joined", async () => {
    const shop = await freshShop();
    const first = await shop.start();
    await running(first);
    await first.stop();
    await dropSlot(shop);
    const second = await shop.start({ adopt: true });
    await waitFor(() => readiness(second, "shop")?.code === "GAP_RECORDED", { what: "the gap to be shown" });
    const gap = second.status().sources[0]?.gap;
    const [state, memory] = ["KV_millrace_state", "$KV.millrace_state.memory.shop"];
    const looked = async (): Promise<boolean> =>
      (await newest<{ published?: unknown }>(shop.nats, state, memory))?.published !== undefined;
    await waitFor(looked, { what: "the tables to be known" });
    await second.stop();
    await shop.database.query("create table returns(id int primary key); insert into returns values (1)");
    // Markers wait for the stream to move: heartbeats move it.
    const third = await shop.start({ timing: { ...timing, lagEveryMs: 300 } });
    const joined = async (): Promise<boolean> =>
      (await newest<{ code: string }>(shop.nats, "CDC_SHOP", "meta.shop.gap"))?.code === "TABLE_ADDED";
    await waitFor(joined, { what: "the table to join" });
    await third.stop();
    const fourth = await shop.start();
    await running(fourth);

    expect(readiness(fourth, "shop")).toMatchObject({ ready: true, code: "GAP_RECORDED" });
    const shown = fourth.status().sources[0]?.gap;
    expect(shown).toEqual({ ...gap, agoMs: expect.any(Number) });
    expect(shown?.agoMs).toBeGreaterThan(gap?.agoMs ?? Number.NaN);
  });

  test('goes on by onGap: "continue" while it runs: what was read is published, then the gap', async () => {
    const shop = await freshShop();
    const log = new RecordedLog();
    const worker = await shop.start({ onGap: "continue", log });
    await running(worker);
    await shop.insert(1);
    await shop.until(1); // the table is known: reading a new one waits for the bus
    await shop.nats.pause(); // so that all that it has read still waits when the loss is found
    await shop.database.query("insert into orders select generate_series(2, 2500)");
    const read = waitFor(() => (worker.status().sources[0]?.read ?? 0) >= 2500, { what: "the rows to be read" });
    // Not before they are read: a look at the tables may find the loss sooner than the log gets here.
    const lost = read.then(() => shop.database.query("drop publication millrace_shop")).then(() => shop.insert(2501));
    await lost.finally(() => shop.nats.resume());
    await waitFor(() => log.count("source_gap") > 0, { what: "the gap to be said" });
    await running(worker);
    await shop.insert(2502);
    await shop.until(2502);

    const { before, after } = await expectNewHistory(shop, "PUBLICATION_MISSING");
    expect(before.map(idOf).filter(Boolean)).toEqual(Array.from({ length: 2500 }, (_, n) => n + 1));
    expect(after.map(idOf)).toEqual([2502]);
    await worker.stop();
  });
});
