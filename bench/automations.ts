// How many events a second one worker takes through a handler that does nothing, each one acked and the ack confirmed;
// beside the NATS client's own consumer on the same stream, whose acks nobody confirms. Three runs each, taking turns. What the event
// log says of a run must be of each event once, or the run does not count.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { EventEncoder } from "../src/bus/encode-event.ts";
import { openEventLog } from "../src/bus/jetstream/commands/read-event-log.ts";
import { openJetStreamBus } from "../src/bus/jetstream/jetstream-bus.ts";
import { startNats } from "../src/dev/nats-server.ts";
import type { StreamMessage } from "../src/event/message.ts";
import type { Position } from "../src/event/position.ts";
import { type SourceId, streamName } from "../src/event/source-id.ts";
import { silentLogger } from "../src/telemetry/logger.ts";
import { buildCli } from "../test/support/process/build-cli.ts";
import type { Ground } from "./ground.ts";
import { type BenchOptions, type BenchResult, median } from "./result.ts";
import { Worker } from "./worker.ts";

const RUNS = [1, 2, 3] as const;
const TRANSACTION_ROWS = 100;
/** To answer costs the worker a millisecond of its thread; what it ends earlier counts as ended by then. */
const LOOK_MS = 100;
const SOURCE = "shop" as SourceId;

/** As a user writes them: one for each run, for each needs a durable of its own. */
const AUTOMATIONS = `import { automation, collection } from "millrace";
const on = collection("${SOURCE}", "public.measured").created();
${RUNS.map((run) => `export const a${run} = automation("noop-${run}", { on, start: "earliest", concurrency: 256 }, () => {});`).join("\n")}
`;

/** Starts the server, fills a stream, measures, and leaves nothing behind. */
export async function benchAutomations({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  const cli = await buildCli();
  const dir = await mkdtemp(resolve(".millrace/bench-"));
  const interval = sync === "always" ? "always" : "2m";
  try {
    await using nats = await startNats({ dataDir: `${dir}/nats`, syncInterval: interval });
    const config = { bus: { servers: nats.url, fsync: interval }, sources: {}, automations: "./noop.mjs" };
    await writeFile(join(dir, "millrace.config.json"), JSON.stringify(config));
    await writeFile(join(dir, "noop.mjs"), AUTOMATIONS);
    say(`storing ${rows} events`);
    await fillStream(nats.url, rows);
    const connection = await connect({ servers: nats.url });
    const version = connection.info?.version ?? "unknown";
    const reference: number[] = [];
    const ours: number[] = [];
    const peaks: number[] = [];
    const cpu: number[] = [];
    try {
      for (const run of RUNS) {
        reference.push(await consumePlainly(connection, run, rows));
        say(`the client's consumer ${run}: ${reference.at(-1)} events/s`);
        const { rate, peakRssMb, cpuUs } = await handle({ cli: cli.file, dir, node: [] }, run, rows);
        await refuseUnlogged(nats.url, `noop-${run}`, rows);
        ours.push(rate);
        if (peakRssMb !== undefined) peaks.push(peakRssMb);
        if (cpuUs !== undefined) cpu.push(cpuUs);
        say(`millrace ${run}: ${rate} events/s, ${peakRssMb ?? "?"} MB, ${cpuUs ?? "?"} us of a processor an event`);
      }
    } finally {
      await connection.close();
    }
    const value = median(ours);
    return {
      name: "automations",
      value,
      unit: "events/s",
      reference: median(reference),
      ratio: Math.round((value / median(reference)) * 1000) / 1000,
      rssMb: peaks.length === 0 ? null : Math.max(...peaks),
      sync,
      servers: { nats: version },
      rows,
      ...(cpu.length > 0 && { details: { cpuUs: median(cpu) } }),
      runs: { ours, reference },
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
    await cli.remove();
  }
}

/** Events of about 300 bytes, stored by our own writer. */
async function fillStream(url: string, rows: number): Promise<void> {
  const { signal } = new AbortController();
  const bus = await openJetStreamBus({ servers: [url], replicas: 1, fsync: "always", log: silentLogger, signal });
  const writer = await bus.stream(SOURCE).openWriter(signal);
  const encoder = new EventEncoder(SOURCE);
  const kind = { namespace: "public", collection: "measured", op: "created", version: undefined } as const;
  for (let first = 1; first <= rows; first += TRANSACTION_ROWS) {
    const last = Math.min(first + TRANSACTION_ROWS - 1, rows);
    const transaction = { id: String(first), time: new Date().toISOString(), lineage: undefined };
    const messages: StreamMessage[] = [];
    for (let id = first; id <= last; id++) {
      const mark = id === last ? "+" : "";
      const position = `0001.${first.toString(16).padStart(16, "0")}.${id.toString(16).padStart(16, "0")}.r000000${mark}`;
      messages.push(
        encoder.encode({
          type: "change",
          kind,
          lane: `p${String(id % 16).padStart(2, "0")}`,
          key: String(id),
          transaction,
          position: position as Position,
          data: Buffer.from(JSON.stringify({ op: "created", key: { id: String(id) }, before: null, after: row(id) })),
        }),
      );
    }
    await writer.write(messages);
  }
  await writer.flush(600_000);
  await writer[Symbol.asyncDispose]();
  await bus[Symbol.asyncDispose]();
}

function row(id: number): Readonly<Record<string, unknown>> {
  const note = "0123456789abcdef".repeat(10);
  return { id: String(id), customer: id % 5000, status: "paid", amount: "12.50", paid: true, note, created_at: null };
}

/** @throws Error unless the event log says of each event, once, that it is done */
async function refuseUnlogged(url: string, automation: string, rows: number): Promise<void> {
  const { signal } = new AbortController();
  await using log = await openEventLog({ servers: [url] }, [SOURCE], signal);
  const records = await log.ofAutomation({ automation, outcomes: ["done"], last: Number.MAX_SAFE_INTEGER });
  const told = records.reduce((sum, { count = 0 }) => sum + count, 0);
  const ranges = records.flatMap((record) => record.ranges ?? []).sort(([a], [b]) => a - b);
  const twice = ranges.find(([first], nth) => first <= (ranges[nth - 1]?.[1] ?? 0));
  if (told !== rows || twice !== undefined) {
    const about = twice === undefined ? "" : `, and of ${twice.join(" to ")} twice`;
    throw new Error(`the event log tells of ${told} of ${rows} events of ${automation}${about}`);
  }
}

/** Events a second from the first to the last one that was handled: the worker's start-up is not in it. */
async function handle(
  ground: Pick<Ground, "cli" | "dir" | "node">,
  run: number,
  rows: number,
): Promise<{ readonly rate: number; readonly peakRssMb: number | undefined; readonly cpuUs: number | undefined }> {
  const worker = await Worker.start(ground, "--automations", `noop-${run}`);
  const handled = async (least: number): Promise<number | undefined> => {
    const count = (await worker.status())?.automations[0]?.handled ?? 0;
    return count >= least ? count : undefined;
  };
  try {
    const before = await worker.until(() => handled(1));
    const start = performance.now();
    const spent = worker.cpuSeconds();
    const after = await worker.until(() => handled(rows), LOOK_MS);
    const seconds = (performance.now() - start) / 1000;
    const cpuSeconds = (worker.cpuSeconds() ?? Number.NaN) - (spent ?? Number.NaN);
    const cpuUs = Number.isNaN(cpuSeconds) ? undefined : Math.round((cpuSeconds / (after - before)) * 1e7) / 10;
    return { rate: Math.round((after - before) / seconds), peakRssMb: worker.peakRssMb(), cpuUs };
  } finally {
    await worker.stop();
  }
}

async function consumePlainly(nc: NatsConnection, run: number, rows: number): Promise<number> {
  const stream = streamName(SOURCE);
  const name = `plain-${run}`;
  await (await jetstreamManager(nc)).consumers.add(stream, {
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    filter_subjects: [`cdc.${SOURCE}.public.measured.created.*`],
    max_ack_pending: 1500,
  });
  const messages = await (await jetstream(nc).consumers.get(stream, name)).consume({ max_messages: 512 });
  let count = 0;
  let start = 0;
  for await (const message of messages) {
    if (count++ === 0) start = performance.now();
    message.ack();
    if (count === rows) break;
  }
  await nc.flush();
  return Math.round(((rows - 1) / (performance.now() - start)) * 1000);
}
