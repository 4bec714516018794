// How fast a log is drained into a stream, beside pg_recvlogical on the same log: three runs each, taking turns.

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";
import { startNats } from "../src/dev/nats-server.ts";
import { startPostgres } from "../src/dev/postgres.ts";
import { buildCli } from "../test/support/build-cli.ts";
import { drainWithPgRecvlogical, findPgRecvlogical, pgRecvlogicalVersion } from "./pg-recvlogical.ts";
import { type BenchOptions, type BenchResult, median } from "./result.ts";
import { createTable, writeRows } from "./rows.ts";
import { Worker } from "./worker.ts";

const RUNS = [1, 2, 3] as const;

/** What the runs share. */
interface Bench {
  /** Holds the worker's configuration. */
  readonly dir: string;
  readonly cli: string;
  readonly url: string;
  readonly database: Client;
  readonly streams: JetStreamManager;
}

/** Starts the servers, measures, and leaves nothing behind. */
export async function benchTail(options: BenchOptions): Promise<BenchResult> {
  const { sync } = options;
  const cli = await buildCli();
  const dir = await mkdtemp(resolve(".millrace/bench-"));
  await chmod(dir, 0o755); // started by root, Postgres runs as somebody else, and would keep its data elsewhere
  const interval = sync === "always" ? "always" : "2m";
  try {
    await using postgres = await startPostgres({ dataDir: `${dir}/postgres`, settings: { max_wal_size: "8GB" } });
    await using nats = await startNats({ dataDir: `${dir}/nats`, syncInterval: interval });
    const { url } = postgres;
    const config = {
      bus: { servers: nats.url, replicas: 1, fsync: interval },
      sources: Object.fromEntries(
        RUNS.map((run) => [`s${run}`, { kind: "postgres", url, tables: ["public.measured"] }]),
      ),
    };
    await writeFile(`${dir}/millrace.config.json`, JSON.stringify(config));
    const database = new Client({ connectionString: url });
    await database.connect();
    const connection = await connect({ servers: nats.url });
    try {
      const streams = await jetstreamManager(connection);
      const result = await measure({ dir, cli: cli.file, url, database, streams }, options);
      return { ...result, servers: { ...result.servers, nats: connection.info?.version ?? "unknown" } };
    } finally {
      await connection.close();
      await database.end();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
    await cli.remove();
  }
}

/** Every source has its slot before the first row is written; a reference slot is a copy of the source's. */
async function measure(bench: Bench, { rows, sync, say }: BenchOptions): Promise<BenchResult> {
  const { database } = bench;
  const recvlogical = findPgRecvlogical();
  if (recvlogical === undefined) say("no pg_recvlogical here (Debian: postgresql-client-15): no ratio");
  await createTable(database);
  for (const run of RUNS) await prepareSlot(bench, run);
  say(`writing ${rows} rows`);
  await writeRows(database, rows);
  const endLsn = await readText(database, "select pg_current_wal_insert_lsn() as text");
  await database.query("checkpoint"); // all of the log is on disk, and no run has to share its time with this

  const reference: number[] = [];
  const ours: number[] = [];
  const peaks: number[] = [];
  for (const run of RUNS) {
    if (recvlogical !== undefined) {
      const options = { url: bench.url, slot: `reference_${run}`, publication: `millrace_s${run}`, endLsn };
      reference.push(Math.round(rows / (await drainWithPgRecvlogical(recvlogical, options))));
      say(`pg_recvlogical ${run}: ${reference.at(-1)} rows/s`);
    }
    const { rate, peakRssMb } = await drainWithWorker(bench, run, rows);
    ours.push(rate);
    if (peakRssMb !== undefined) peaks.push(peakRssMb);
    say(`millrace ${run}: ${rate} rows/s, ${peakRssMb ?? "?"} MB`);
  }

  const value = median(ours);
  const beside = recvlogical === undefined ? null : median(reference);
  return {
    name: "tail",
    value,
    unit: "rows/s",
    reference: beside,
    ratio: beside === null ? null : Math.round((value / beside) * 1000) / 1000,
    rssMb: peaks.length === 0 ? null : Math.max(...peaks),
    sync,
    servers: {
      postgres: await readText(database, "select current_setting('server_version') as text"),
      ...(recvlogical === undefined ? {} : { pg_recvlogical: await pgRecvlogicalVersion(recvlogical) }),
    },
    rows,
    runs: { ours, reference },
  };
}

/** The worker's own first start makes slot and publication; the copy is at the very same position. */
async function prepareSlot({ database, cli, dir }: Bench, run: number): Promise<void> {
  const worker = await startWorker(cli, dir, run);
  const slot = `millrace_s${run}`;
  await worker.until(async () => {
    const { rowCount } = await database.query(
      "select from pg_replication_slots where slot_name = $1 and active and confirmed_flush_lsn is not null",
      [slot],
    );
    return rowCount === 1 ? true : undefined;
  });
  await worker.stop();
  await database.query("select pg_copy_logical_replication_slot($1, $2)", [slot, `reference_${run}`]);
}

/** Rows a second between the storing of the first row and of the last: the worker's start-up is not in it. */
async function drainWithWorker(
  { cli, dir, streams }: Bench,
  run: number,
  rows: number,
): Promise<{ readonly rate: number; readonly peakRssMb: number | undefined }> {
  const stream = `CDC_S${run}`;
  const subject = `cdc.s${run}.>`;
  const worker = await startWorker(cli, dir, run);
  try {
    // Counting messages is cheap; markers are among them, so the rows themselves are counted near the end.
    await worker.until(async () => {
      const { state } = await streams.streams.info(stream);
      if (state.messages < rows) return undefined;
      const { state: counted } = await streams.streams.info(stream, { subjects_filter: subject });
      const stored = Object.values(counted.subjects ?? {}).reduce((sum, count) => sum + count, 0);
      return stored >= rows ? true : undefined;
    });
    const first = await streams.direct.getMessage(stream, { next_by_subj: subject, seq: 1 });
    const last = await streams.direct.getMessage(stream, { last_by_subj: subject });
    if (first === null || last === null) throw new Error(`no row in ${stream}`);
    const seconds = (last.time.getTime() - first.time.getTime()) / 1000;
    return { rate: Math.round(rows / seconds), peakRssMb: worker.peakRssMb() };
  } finally {
    await worker.stop();
    await streams.streams.delete(stream);
  }
}

function startWorker(cli: string, dir: string, run: number): Promise<Worker> {
  return Worker.start(cli, dir, "--automations", "none", "--sources", `s${run}`);
}

async function readText(database: Client, sql: string): Promise<string> {
  const { rows } = await database.query<{ text: string }>(sql);
  const [row] = rows;
  if (row === undefined) throw new Error(`no row from ${sql}`);
  return row.text;
}
