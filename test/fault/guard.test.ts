// A worker whose slot grows: it says so while its bus is away, tells its automations once, and takes the last resort it was given.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker, type WorkerOptions } from "../../src/app.ts";
import { automation } from "../../src/automation/define/automation.ts";
import { system } from "../../src/automation/define/system.ts";
import type { GapData, LagData } from "../../src/event/system-event.ts";
import { countChanges, readStream } from "../support/bus/stream-events.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { writeSteadily } from "../support/postgres/write-steadily.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const timing = { guardEveryMs: 200, idleCheckMs: 500 };
const quickly = { timeoutMs: 60_000 };

async function shopWith(settings: Readonly<Record<string, string>> = {}) {
  const nats = await freshNats({ syncInterval: "always" });
  const database = await freshDatabase(await freshPostgres(settings));
  onTestFinished(() => database[Symbol.asyncDispose]());
  await database.query("create table orders(id int primary key)");
  const start = async (source: object, options: WorkerOptions = {}, automations: readonly unknown[] = []) => {
    const sources = { shop: { kind: "postgres", url: database.url, ...source } };
    const worker = await startWorker(
      { bus: { servers: nats.url, fsync: "always" }, sources, automations },
      {
        timing,
        ...options,
      },
    );
    worker.finished.catch(() => {});
    onTestFinished(() => worker.stop());
    return worker;
  };
  return { nats, database, start };
}

const running = (worker: Worker): Promise<unknown> =>
  waitFor(() => worker.status().ready && worker.status().sources[0]?.state === "running", {
    what: "the worker to be ready",
    ...quickly,
  });

const told = async (natsUrl: string, kind: string): Promise<readonly string[]> =>
  (await readStream(natsUrl, "MILLRACE_EVENTS"))
    .filter(({ subject }) => subject.startsWith(`events._system.${kind}.`))
    .map((event) => event.header("ce-id") ?? "");

const slots = (database: Database) =>
  database.query<{ name: string; status: string; safe: string | null }>(
    "select slot_name as name, wal_status as status, safe_wal_size as safe from pg_replication_slots",
  );

describe.skipIf(missing("postgres", "nats"))("the guard of a worker", () => {
  test("whose bus is away while a writer of fixed rate fills the slot speaks before it is lost; the bus comes back, automations hear of it once, and all is green again by itself", async () => {
    // No checkpoint of the server's own falls into the test: the slot is lost at the first one behind its limit.
    const { nats, database, start } = await shopWith({
      max_slot_wal_keep_size: "64MB",
      checkpoint_timeout: "1h",
      max_wal_size: "4GB",
    });
    const log = new RecordedLog();
    const heard: LagData[] = [];
    const page = automation("page", { on: system("lag") }, ({ event }) => void heard.push(event.data));
    const guard = { timeToFull: "6s" };
    const worker = await start({ guard }, { log }, [page]);
    await running(worker);
    const standby = await start({ guard }, {}, []);
    await waitFor(() => standby.status().sources[0]?.state === "waiting-for-lease", { what: "the other worker" });

    await nats.stop();
    await database.query("insert into orders select generate_series(1, 1000)");
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const writing = writeSteadily(database, 8_000_000, stop.signal);
    writing.catch(() => {}); // the test awaits it, unless it has failed
    const line = await waitFor(() => log.of("guard_exceeded").find(({ measure }) => measure === "timeToFullSeconds"), {
      what: "the guard to speak",
      ...quickly,
    });
    const [slot] = await slots(database);
    expect(line).toMatchObject({ source: "shop", limit: 6 });
    expect(slot).toMatchObject({ name: "millrace_shop", status: expect.stringMatching(/reserved|extended/) });
    expect(Number(slot?.safe)).toBeGreaterThan(0);
    expect(heard).toEqual([]);

    await nats.restart();
    await waitFor(() => heard.some(({ state }) => state === "exceeded"), {
      what: "the automation to hear",
      ...quickly,
    });
    stop.abort(); // not before: what came and went while the bus was away is not told
    await writing;
    await waitFor(async () => (await countChanges(nats.url, "CDC_SHOP")) === 1000, { what: "the rows", ...quickly });
    await running(worker);
    await waitFor(() => log.count("guard_recovered") > 0, { what: "the guard to be content", ...quickly });
    await waitFor(() => heard.some(({ state }) => state === "recovered"), { what: "the end to be told", ...quickly });
    await database.query("checkpoint");
    expect((await slots(database))[0]?.status).not.toBe("lost");
    expect(heard[0]).toMatchObject({ source: "shop", measure: "timeToFullSeconds", state: "exceeded", limit: 6 });
    const ids = await told(nats.url, "lag");
    expect(ids.filter((id) => id === "lag.shop.timeToFullSeconds.exceeded.1")).toHaveLength(1);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("drops the full slot only where that was asked for, though the bus is away; the source starts over behind a gap that is told", async () => {
    const { nats, database, start } = await shopWith();
    const log = new RecordedLog();
    const gaps: GapData[] = [];
    const page = automation("page", { on: system("gap") }, ({ event }) => void gaps.push(event.data));
    const slot = { fullAtBytes: 3_000_000, onFull: "drop-and-gap" };
    const worker = await start({ slot, onGap: "continue" }, { log }, [page]);
    await running(worker);
    await nats.stop();
    await database.query("insert into orders values (1)");
    await database.query("select pg_logical_emit_message(false, 'x', repeat('x', 4000000))");
    const line = await waitFor(() => log.of("guard_full")[0], { what: "the last resort", ...quickly });
    expect(line).toMatchObject({ source: "shop", action: "drop-and-gap", limit: 3_000_000 });
    expect(await slots(database)).toEqual([]);

    await nats.restart();
    await waitFor(() => gaps.length > 0, { what: "the gap to be told", ...quickly });
    await running(worker);
    await database.query("insert into orders values (2)");
    await waitFor(async () => (await countChanges(nats.url, "CDC_SHOP")) >= 1, { what: "the next row", ...quickly });
    const stream = await readStream(nats.url, "CDC_SHOP");
    const [marker] = stream.filter(({ subject }) => subject === "meta.shop.gap");
    expect(JSON.parse(marker?.text ?? "{}")).toMatchObject({ code: "SLOT_MISSING", upTo: gaps[0]?.upTo });
    expect(gaps[0]).toMatchObject({ source: "shop", code: "SLOT_MISSING", after: expect.any(String) });
    expect(stream.filter(({ subject }) => subject.startsWith("cdc.")).at(-1)?.text).toContain('"id":2');
    await waitFor(async () => (await told(nats.url, "lag")).some((id) => id.includes(".full.")), { what: "it told" });
    expect(await told(nats.url, "gap")).toEqual([`gap.shop.${gaps[0]?.upTo}`]);
    expect(worker.status().parts.find(({ kind }) => kind === "source")).toMatchObject({
      ready: true,
      code: "GAP_RECORDED",
      reason: expect.stringContaining(gaps[0]?.upTo ?? "none"),
    });
  });

  test("does not drop a slot of the same name that is somebody else's", async () => {
    const { database, start } = await shopWith();
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    await database.query("select pg_logical_emit_message(false, 'x', repeat('x', 4000000))");
    const log = new RecordedLog();
    const slot = { fullAtBytes: 3_000_000, onFull: "drop-and-gap" };
    const guard = { retainedBytes: 3_000_000, lag: "1s" };
    const worker = await start({ slot, guard, onGap: "continue" }, { log });
    await expect(worker.finished).rejects.toMatchObject({ code: "SLOT_UNKNOWN" });
    await database.query("select pg_logical_emit_message(false, 'x', 'y')");
    await waitFor(() => log.count("guard_exceeded") === 2, { what: "both limits, some looks apart", ...quickly });

    expect(log.of("guard_full")).toEqual([]);
    expect(await slots(database)).toMatchObject([{ name: "millrace_shop" }]);
  });

  test("stops the source at a full slot where that was asked for, and leaves the slot", async () => {
    const { nats, database, start } = await shopWith();
    const worker = await start({ slot: { fullAtBytes: 3_000_000, onFull: "stop" } });
    await running(worker);
    await nats.stop();
    await database.query("select pg_logical_emit_message(false, 'x', repeat('x', 4000000))");

    await expect(worker.finished).rejects.toMatchObject({ name: "HistoryLostError", code: "SLOT_FULL" });
    expect(worker.status().sources[0]).toMatchObject({ state: "stopped", reason: { code: "SLOT_FULL" } });
    expect(await slots(database)).toMatchObject([{ name: "millrace_shop" }]);
  });
});
