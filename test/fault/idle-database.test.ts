// An idle database beside a busy one: the log that others write must not pile up behind a slot that has nothing to do.
// `IDLE_MINUTES=5` is the long run; by default twelve seconds.

import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const minutes = Number(process.env.IDLE_MINUTES ?? 0.2);
const ROW_BYTES = 8_000;
const ROWS_PER_SECOND = 125;
const MEGABYTE = 1024 * 1024;
/** How long the slot may be behind any place of the log. */
const MAX_LAG_SECONDS = 20;
const MAX_RETAINED_BYTES = 64 * MEGABYTE;

interface Look {
  readonly atMs: number;
  readonly end: number;
  readonly confirmed: number;
  readonly retained: number;
}

describe.skipIf(missing("postgres", "nats"))("an idle database in a busy cluster", () => {
  test(`keeps up with its neighbour's log for ${minutes} minutes`, {
    timeout: (minutes + 3) * 60_000,
  }, async () => {
    const server = await freshPostgres({ checkpoint_timeout: "30s" });
    await using busy = await freshDatabase(server);
    await using idle = await freshDatabase(server);
    const nats = await freshNats({ syncInterval: "always" });
    // Without autovacuum, which would write as much again: a megabyte of log a second is what is meant.
    await busy.query(
      "create table noise(id serial, text text) with (autovacuum_enabled = off, toast.autovacuum_enabled = off); alter table noise alter text set storage external",
    );
    await idle.query("create table orders(id int primary key)");
    await using worker = await WorkerProcess.start({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: idle.url } },
    });
    await worker.logged("source_started");
    const look = async (): Promise<Look> => {
      const [row] = await idle.query<Omit<Look, "atMs">>(
        `select (pg_current_wal_lsn() - '0/0')::float8 as end, (confirmed_flush_lsn - '0/0')::float8 as confirmed,
           (pg_current_wal_lsn() - restart_lsn)::float8 as retained
         from pg_replication_slots where slot_name = 'millrace_shop'`,
      );
      if (row === undefined) throw new Error("there is no slot");
      return { ...row, atMs: performance.now() };
    };

    await using writing = await writeNoise(busy.url);
    const looks = [await look()];
    let lagSeconds = 0;
    for (const untilMs = performance.now() + minutes * 60_000; performance.now() < untilMs; ) {
      await delay(1_000);
      const now = await look();
      looks.push(now);
      // The slot is as far behind as the youngest look whose end it has passed is old.
      const passed = looks.findLast(({ end }) => end <= now.confirmed);
      lagSeconds = Math.max(lagSeconds, (now.atMs - (passed?.atMs ?? (looks[0] as Look).atMs)) / 1000);
    }
    await writing.stop();

    const [first, last] = [looks[0] as Look, looks.at(-1) as Look];
    const writtenPerSecond = (last.end - first.end) / ((last.atMs - first.atMs) / 1000);
    const retained = Math.max(...looks.map((one) => one.retained));
    console.error(
      `idle database: ${minutes} min, ${(writtenPerSecond / MEGABYTE).toFixed(2)} MB/s written, slot at most ${lagSeconds.toFixed(1)} s behind, at most ${(retained / MEGABYTE).toFixed(1)} MB retained`,
    );
    expect(writtenPerSecond).toBeGreaterThan(0.8 * MEGABYTE);
    expect(lagSeconds).toBeLessThan(MAX_LAG_SECONDS);
    expect(retained).toBeLessThan(MAX_RETAINED_BYTES);
    const published = async (): Promise<number> => {
      const response = await fetch(`${worker.httpUrl}/api/status`);
      const { sources } = (await response.json()) as { readonly sources: readonly { readonly published: number }[] };
      return sources[0]?.published ?? 0;
    };
    const before = await published();
    await idle.query("insert into orders values (1)");
    await waitFor(async () => (await published()) > before, { what: "a change of the idle database" });
    expect(await worker.stop()).toBe(0);
  });
});

/** A megabyte a second, in transactions of eight rows, until it is stopped. */
async function writeNoise(url: string): Promise<AsyncDisposable & { stop(): Promise<void> }> {
  const client = new Client({ connectionString: url });
  client.on("error", () => {}); // the server may be stopped before it
  await client.connect();
  const perTransaction = 8;
  let stopped = false;
  const startedMs = performance.now();
  const writing = (async () => {
    for (let rows = 0; !stopped; rows += perTransaction) {
      await client.query(`insert into noise(text) select repeat('x', ${ROW_BYTES}) from generate_series(1, $1)`, [
        perTransaction,
      ]);
      await delay(Math.max(0, startedMs + (rows / ROWS_PER_SECOND) * 1000 - performance.now()));
    }
  })();
  writing.catch(() => {}); // `stop` tells
  const stop = async (): Promise<void> => {
    stopped = true;
    await writing;
  };
  return {
    stop,
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      await writing.catch(() => {});
      await client.end();
    },
  };
}
