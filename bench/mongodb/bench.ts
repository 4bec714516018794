// How fast a MongoDB source drains a change stream into its JetStream stream, beside the driver's own `watch()` and `next()` on
// the same server: three runs each, taking turns. The database is left out: a process hands out prepared replies in its place.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { MongoClient, Timestamp } from "mongodb";
import { startNats } from "../../src/dev/nats-server.ts";
import { buildCli } from "../../test/support/process/build-cli.ts";
import { drainWithWorker } from "../drain.ts";
import { type BenchOptions, type BenchResult, median } from "../result.ts";
import { BEGIN, COLLECTION, DATABASE } from "./prepared-events.ts";

const RUNS = [1, 2, 3];
/** As large as ours. */
const BATCH_EVENTS = 1000;

/** Starts the servers, measures, and leaves nothing behind. */
export async function benchMongodb({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  const cli = await buildCli();
  await using feeder = await Feeder.start(rows);
  const dir = await mkdtemp(resolve(".millrace/bench-"));
  const interval = sync === "always" ? "always" : "2m";
  try {
    await using nats = await startNats({ dataDir: join(dir, "nats"), syncInterval: interval });
    const source = { kind: "mongodb", url: feeder.url, database: DATABASE, collections: [COLLECTION] };
    const config = {
      bus: { servers: nats.url, replicas: 1, fsync: interval },
      sources: Object.fromEntries(RUNS.map((run) => [`s${run}`, source])),
    };
    await writeFile(join(dir, "millrace.config.json"), JSON.stringify(config));
    const connection = await connect({ servers: nats.url });
    const version = connection.info?.version ?? "unknown";
    const [ours, reference, peaks]: [number[], number[], number[]] = [[], [], []];
    const cpu: { ours: number[]; watch: number[] } = { ours: [], watch: [] };
    try {
      const ground = { cli: cli.file, dir, node: [], streams: await jetstreamManager(connection) };
      for (const run of RUNS) {
        const before = process.cpuUsage();
        reference.push(await watchPlainly(feeder.url, rows));
        const { user, system } = process.cpuUsage(before);
        cpu.watch.push((user + system) / rows);
        say(`the driver's watch() ${run}: ${reference.at(-1)} events/s`);
        const { rate, peakRssMb, cpuSeconds } = await drainWithWorker(ground, run, rows);
        ours.push(rate);
        if (cpuSeconds !== undefined) cpu.ours.push((cpuSeconds * 1e6) / rows);
        if (peakRssMb !== undefined) peaks.push(peakRssMb);
        say(`millrace ${run}: ${rate} events/s, ${peakRssMb ?? "?"} MB`);
      }
    } finally {
      await connection.close();
    }
    const [value, beside] = [median(ours), median(reference)];
    return {
      name: "mongodb",
      value,
      unit: "events/s",
      reference: beside,
      ratio: Math.round((value / beside) * 1000) / 1000,
      rssMb: peaks.length === 0 ? null : Math.max(...peaks),
      sync,
      servers: { nats: version, "mongodb-driver": driverVersion() },
      rows,
      details: {
        watchCpuUs: Math.round(median(cpu.watch) * 10) / 10,
        ...(cpu.ours.length === 0 ? {} : { cpuUs: Math.round(median(cpu.ours) * 10) / 10 }),
      },
      runs: { ours, reference },
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
    await cli.remove();
  }
}

/** Events a second from the first to the last one. */
async function watchPlainly(url: string, events: number): Promise<number> {
  const client = new MongoClient(url);
  try {
    await client.connect();
    const stream = client.db(DATABASE).watch([], {
      batchSize: BATCH_EVENTS,
      fullDocument: "updateLookup",
      showExpandedEvents: true,
      startAtOperationTime: new Timestamp(BEGIN),
    });
    await stream.next();
    const startMs = performance.now();
    for (let nth = 1; nth < events; nth++) await stream.next();
    const seconds = (performance.now() - startMs) / 1000;
    await stream.close();
    return Math.round((events - 1) / seconds);
  } finally {
    await client.close();
  }
}

class Feeder implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.url = `mongodb://127.0.0.1:${port}/?replicaSet=bench`;
  }

  static async start(events: number): Promise<Feeder> {
    const file = fileURLToPath(new URL("feeder.ts", import.meta.url));
    const child = fork(file, [String(events)], { execArgv: ["--import", "tsx"] });
    const [port] = (await once(child, "message")) as [number];
    return new Feeder(child, port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
  }
}

function driverVersion(): string {
  return (createRequire(import.meta.url)("mongodb/package.json") as { readonly version: string }).version;
}
