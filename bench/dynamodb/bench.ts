// How fast a DynamoDB source drains the shards of a stream into its JetStream stream, beside the SDK's own client that reads the
// same shards: three runs each, taking turns, of small items and of larger ones. Then what two hundred open shards cost while
// nothing happens, and how soon a record is picked up. The database is left out: a process hands out prepared pages in its place.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand } from "@aws-sdk/client-dynamodb-streams";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { startNats } from "../../src/dev/nats-server.ts";
import { buildCli } from "../../test/support/process/build-cli.ts";
import { drainWithWorker } from "../drain.ts";
import { type BenchOptions, type BenchResult, median } from "../result.ts";
import { arnOf, REGION, shardName } from "./feeder-names.ts";
import { Feeder } from "./feeder-process.ts";
import { type Idle, type IdleGround, watchIdle } from "./idle.ts";

const RUNS = [1, 2, 3];
const SHARDS = 8;
const SMALL = 300;
const LARGE = 2000;
const IDLE_SHARDS = 200;
/** Read more often than by default. */
const OFTEN = { minMs: 100, maxIdleMs: 500 };

interface Side {
  readonly rates: number[];
  /** Of the processors, for each record, in microseconds. */
  readonly cpu: number[];
}

interface Drains {
  readonly ours: Side;
  readonly sdk: Side;
  readonly peakRssMb: number | null;
}

/** Starts the servers, measures, and leaves nothing behind. */
export async function benchDynamodb({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  process.env.AWS_ACCESS_KEY_ID ??= "bench";
  process.env.AWS_SECRET_ACCESS_KEY ??= "bench";
  const each = Math.ceil(rows / SHARDS);
  const large = Math.ceil(each / 4);
  const sources = {
    ...Object.fromEntries(
      RUNS.map((run) => [`s${run}`, { tables: [`${SHARDS}-${each}-${SMALL}`], start: "earliest" }]),
    ),
    ...Object.fromEntries(
      RUNS.map((run) => [`s${run + 3}`, { tables: [`${SHARDS}-${large}-${LARGE}`], start: "earliest" }]),
    ),
    idle: { tables: [`${IDLE_SHARDS}-0-${SMALL}`] },
    often: { tables: [`${IDLE_SHARDS}-0-${SMALL}-often`], poll: OFTEN },
  };
  const cli = await buildCli();
  await using feeder = await Feeder.start();
  await mkdir(".millrace", { recursive: true });
  const dir = await mkdtemp(resolve(".millrace/bench-"));
  const interval = sync === "always" ? "always" : "2m";
  try {
    await using nats = await startNats({ dataDir: join(dir, "nats"), syncInterval: interval });
    const common = { kind: "dynamodb", region: REGION, endpoint: feeder.url };
    const config = {
      bus: { servers: nats.url, replicas: 1, fsync: interval },
      sources: Object.fromEntries(Object.entries(sources).map(([id, source]) => [id, { ...common, ...source }])),
    };
    await writeFile(join(dir, "millrace.config.json"), JSON.stringify(config));
    const connection = await connect({ servers: nats.url });
    const version = connection.info?.version ?? "unknown";
    try {
      const ground = { cli: cli.file, dir, node: [], streams: await jetstreamManager(connection), feeder, connection };
      const small = await compare(ground, { first: 1, bytes: SMALL, each, say });
      const larger = await compare(ground, { first: 4, bytes: LARGE, each: large, say });
      say(`${IDLE_SHARDS} shards without records`);
      const table = { shards: IDLE_SHARDS, seconds: 20 };
      const idle = await watchIdle(ground, {
        ...{ ...table, source: "idle", table: sources.idle.tables[0] ?? "", graceSeconds: 45 },
      });
      const often = await watchIdle(ground, {
        ...{ ...table, source: "often", table: sources.often.tables[0] ?? "", graceSeconds: 0 },
      });
      const [value, beside] = [median(small.ours.rates), median(small.sdk.rates)];
      return {
        name: "dynamodb",
        value,
        unit: "records/s",
        reference: beside,
        ratio: round(value / beside, 3),
        rssMb: small.peakRssMb,
        sync,
        servers: { nats: version, "aws-sdk": sdkVersion() },
        rows: each * SHARDS,
        details: { ...detailsOf(small, larger), ...idleDetails("", idle), ...idleDetails("often.", often) },
        runs: { ours: small.ours.rates, reference: small.sdk.rates },
      };
    } finally {
      await connection.close();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
    await cli.remove();
  }
}

interface CompareOptions extends Pick<BenchOptions, "say"> {
  /** Of our sources, the number of the first. */
  readonly first: number;
  readonly bytes: number;
  /** Records in each shard. */
  readonly each: number;
}

async function compare(ground: IdleGround, { first, bytes, each, say }: CompareOptions): Promise<Drains> {
  const records = each * SHARDS;
  const [ours, sdk]: [Side, Side] = [
    { rates: [], cpu: [] },
    { rates: [], cpu: [] },
  ];
  const peaks: number[] = [];
  for (const run of RUNS) {
    const before = process.cpuUsage();
    sdk.rates.push(await readPlainly(ground.feeder.url, `${SHARDS}-${each}-${bytes}`, records));
    const { user, system } = process.cpuUsage(before);
    sdk.cpu.push((user + system) / records);
    say(`the SDK's client, items of ${bytes} bytes, ${run}: ${sdk.rates.at(-1)} records/s`);
    const { rate, peakRssMb, cpuSeconds } = await drainWithWorker(ground, first + run - 1, records);
    ours.rates.push(rate);
    if (cpuSeconds !== undefined) ours.cpu.push((cpuSeconds * 1e6) / records);
    if (peakRssMb !== undefined) peaks.push(peakRssMb);
    say(`millrace ${run}: ${rate} records/s, ${peakRssMb ?? "?"} MB`);
  }
  return { ours, sdk, peakRssMb: peaks.length === 0 ? null : Math.max(...peaks) };
}

/** Records a second: all shards side by side, each answer parsed by the SDK and dropped. */
async function readPlainly(endpoint: string, table: string, records: number): Promise<number> {
  const client = new DynamoDBStreamsClient({ region: REGION, endpoint });
  const StreamArn = `${arnOf(table)}/stream/0`;
  const startMs = performance.now();
  let left = records;
  const readShard = async (_: unknown, shard: number): Promise<void> => {
    const asked = { StreamArn, ShardId: shardName(shard), ShardIteratorType: "TRIM_HORIZON" } as const;
    let { ShardIterator } = await client.send(new GetShardIteratorCommand(asked));
    for (;;) {
      const { Records = [], NextShardIterator } = await client.send(new GetRecordsCommand({ ShardIterator }));
      if (Records.length === 0) return;
      left -= Records.length;
      ShardIterator = NextShardIterator;
    }
  };
  await Promise.all(Array.from({ length: SHARDS }, readShard));
  client.destroy();
  if (left !== 0) throw new Error(`${left} of ${records} records were not read`);
  return Math.round(records / ((performance.now() - startMs) / 1000));
}

function detailsOf(small: Drains, large: Drains): Readonly<Record<string, number>> {
  const [ours, sdk] = [median(large.ours.rates), median(large.sdk.rates)];
  return {
    ...cpuDetails("", small),
    [`${LARGE}.value`]: ours,
    [`${LARGE}.reference`]: sdk,
    [`${LARGE}.ratio`]: round(ours / sdk, 3),
    ...(large.peakRssMb === null ? {} : { [`${LARGE}.rssMb`]: large.peakRssMb }),
    ...cpuDetails(`${LARGE}.`, large),
  };
}

function cpuDetails(prefix: string, { ours, sdk }: Drains): Readonly<Record<string, number>> {
  return {
    [`${prefix}sdkCpuUs`]: round(median(sdk.cpu), 1),
    ...(ours.cpu.length === 0 ? {} : { [`${prefix}cpuUs`]: round(median(ours.cpu), 1) }),
  };
}

function idleDetails(prefix: string, idle: Idle): Readonly<Record<string, number>> {
  const waits = [...idle.waits].sort((a, b) => a - b);
  const at = (part: number): number => Math.round(waits[Math.ceil(part * waits.length) - 1] ?? 0);
  return {
    [`${prefix}idleRequests`]: idle.requestsPerSecond,
    ...(idle.cpu === undefined ? {} : { [`${prefix}idleCpuPercent`]: idle.cpu }),
    ...(idle.graceCpu === undefined ? {} : { [`${prefix}graceCpuPercent`]: idle.graceCpu }),
    [`${prefix}pickupP50Ms`]: at(0.5),
    [`${prefix}pickupP99Ms`]: at(0.99),
  };
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

function sdkVersion(): string {
  const { version } = createRequire(import.meta.url)("@aws-sdk/client-dynamodb-streams/package.json");
  return version;
}
