// Draining what a slot holds: a worker into its stream, beside Postgres' own reader of the same log.

import { JetStreamApiError, type StreamState } from "@nats-io/jetstream";
import { apiCodes } from "../src/bus/jetstream/client/api-codes.ts";
import { type Ground, readText } from "./ground.ts";
import { drainWithPgRecvlogical, findPgRecvlogical, pgRecvlogicalVersion } from "./pg-recvlogical.ts";
import { type BenchOptions, type BenchResult, median } from "./result.ts";
import { Worker } from "./worker.ts";

/**
 * Takes turns. Every source has its slot before the first row is written; a reference slot is a copy of the source's.
 * @param runs their sources are `s<run>`
 * @param write commits the rows
 * @param watch called around each of our drains
 */
export async function compareDrains(
  ground: Ground,
  runs: readonly number[],
  write: () => Promise<void>,
  { rows, sync, say }: BenchOptions,
  watch: (drain: () => Promise<Drain>) => Promise<Drain> = (drain) => drain(),
): Promise<Omit<BenchResult, "name">> {
  const { database, url } = ground;
  const recvlogical = findPgRecvlogical();
  if (recvlogical === undefined) say("no pg_recvlogical here (Debian: postgresql-client-15): no ratio");
  for (const run of runs) await prepareSlot(ground, run);
  await write();
  const endLsn = await readText(database, "select pg_current_wal_insert_lsn() as text");
  await database.query("checkpoint"); // all of the log is on disk, and no run has to share its time with this

  const reference: number[] = [];
  const ours: number[] = [];
  const peaks: number[] = [];
  for (const run of runs) {
    if (recvlogical !== undefined) {
      const options = { url, slot: `reference_${run}`, publication: `millrace_s${run}`, endLsn };
      reference.push(Math.round(rows / (await drainWithPgRecvlogical(recvlogical, options))));
      say(`pg_recvlogical ${run}: ${reference.at(-1)} rows/s`);
    }
    const { rate, peakRssMb } = await watch(() => drainWithWorker(ground, run, rows));
    ours.push(rate);
    if (peakRssMb !== undefined) peaks.push(peakRssMb);
    say(`millrace ${run}: ${rate} rows/s, ${peakRssMb ?? "?"} MB`);
  }

  const value = median(ours);
  const beside = recvlogical === undefined ? null : median(reference);
  return {
    value,
    unit: "rows/s",
    reference: beside,
    ratio: beside === null ? null : Math.round((value / beside) * 1000) / 1000,
    rssMb: peaks.length === 0 ? null : Math.max(...peaks),
    sync,
    servers: {
      ...ground.servers,
      ...(recvlogical === undefined ? {} : { pg_recvlogical: await pgRecvlogicalVersion(recvlogical) }),
    },
    rows,
    runs: { ours, reference },
  };
}

/** What a worker and its stream stand on. */
export type WorkerGround = Pick<Ground, "cli" | "dir" | "node" | "streams">;

/** The worker's own first start makes slot and publication; the copy is at the very same position. */
export async function prepareSlot(ground: Ground, run: number): Promise<void> {
  const { database } = ground;
  const worker = await startWorker(ground, run);
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
export interface Drain {
  readonly rate: number;
  readonly peakRssMb: number | undefined;
  readonly cpuSeconds: number | undefined;
}

/** @param run its source is `s<run>` */
export async function drainWithWorker(ground: WorkerGround, run: number, rows: number): Promise<Drain> {
  const { streams } = ground;
  const stream = `CDC_S${run}`;
  const subject = `cdc.s${run}.>`;
  const worker = await startWorker(ground, run);
  try {
    // Counting messages is cheap; markers are among them, so the rows themselves are counted near the end.
    await worker.until(async () => {
      const state = await stateOf(streams, stream);
      if (state === undefined || state.messages < rows) return undefined;
      const { state: counted } = await streams.streams.info(stream, { subjects_filter: subject });
      const stored = Object.values(counted.subjects ?? {}).reduce((sum, count) => sum + count, 0);
      return stored >= rows ? true : undefined;
    });
    const first = await streams.direct.getMessage(stream, { next_by_subj: subject, seq: 1 });
    const last = await streams.direct.getMessage(stream, { last_by_subj: subject });
    if (first === null || last === null) throw new Error(`no row in ${stream}`);
    const seconds = (last.time.getTime() - first.time.getTime()) / 1000;
    return { rate: Math.round(rows / seconds), peakRssMb: worker.peakRssMb(), cpuSeconds: worker.cpuSeconds() };
  } finally {
    await worker.stop();
    await streams.streams.delete(stream);
  }
}

/** Undefined until the worker has made it. */
async function stateOf(streams: WorkerGround["streams"], stream: string): Promise<StreamState | undefined> {
  try {
    return (await streams.streams.info(stream)).state;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === apiCodes.streamNotFound) return undefined;
    throw error;
  }
}

function startWorker(ground: WorkerGround, run: number): Promise<Worker> {
  return Worker.start(ground, "--automations", "none", "--sources", `s${run}`);
}
