// What many open shards cost while nothing happens in them, and how soon a record is picked up from one.

import { setTimeout as delay } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import type { WorkerGround } from "../drain.ts";
import { Worker } from "../worker.ts";
import type { Feeder } from "./feeder-process.ts";
import { shardOf } from "./prepared-records.ts";

export interface IdleGround extends WorkerGround {
  readonly feeder: Feeder;
  readonly connection: NatsConnection;
}

export interface IdleOptions {
  /** What reads the table. */
  readonly source: string;
  readonly table: string;
  readonly shards: number;
  /** How long each shard is asked every second, in seconds, and then how long the processors are watched. */
  readonly graceSeconds: number;
  readonly seconds: number;
}

export interface Idle {
  /** Percentages of a processor; undefined where the system does not tell. */
  readonly graceCpu: number | undefined;
  readonly cpu: number | undefined;
  readonly requestsPerSecond: number;
  /** From each write to its event on the bus, ms. */
  readonly waits: readonly number[];
  readonly peakRssMb: number | undefined;
}

/** Behind the start, which costs by itself. */
const START_SECONDS = 15;

export async function watchIdle(ground: IdleGround, options: IdleOptions): Promise<Idle> {
  const { source, graceSeconds, seconds } = options;
  const worker = await Worker.start(ground, "--automations", "none", "--sources", source);
  const watch = async (forSeconds: number) => {
    const [cpu, asked] = [worker.cpuSeconds(), await ground.feeder.asked()];
    await delay(forSeconds * 1000);
    const after = worker.cpuSeconds();
    return {
      cpu: cpu === undefined || after === undefined ? undefined : Math.round(((after - cpu) / forSeconds) * 1000) / 10,
      requestsPerSecond: Math.round(((await ground.feeder.asked()) - asked) / forSeconds),
    };
  };
  try {
    await worker.until(async () => {
      const status = await worker.status();
      return status?.sources.some(({ id, state }) => id === source && state === "running") === true ? true : undefined;
    });
    await delay(START_SECONDS * 1000);
    const grace = graceSeconds > START_SECONDS ? await watch(graceSeconds - START_SECONDS) : undefined;
    await delay(START_SECONDS * 1000); // the grace ends of each shard at its own time
    const { cpu, requestsPerSecond } = await watch(seconds);
    const waits = await measurePickup(ground, options);
    return { graceCpu: grace?.cpu, cpu, requestsPerSecond, waits, peakRssMb: worker.peakRssMb() };
  } finally {
    await worker.stop();
    await ground.streams.streams.delete(`CDC_${source.toUpperCase()}`);
  }
}

/** One record in each shard, at a time that has nothing to do with when it is asked. */
async function measurePickup(
  { feeder, connection }: IdleGround,
  { source, table, shards }: IdleOptions,
): Promise<readonly number[]> {
  const writtenAt = new Map<number, number>();
  const waits: number[] = [];
  const subscription = connection.subscribe(`cdc.${source}.>`);
  const counted = (async () => {
    for await (const message of subscription) {
      const { key } = message.json<{ readonly key: { readonly id: string } }>();
      const at = writtenAt.get(shardOf(key.id));
      if (at !== undefined) waits.push(performance.now() - at);
      if (waits.length === shards) return;
    }
  })();
  await connection.flush();
  for (let shard = 0; shard < shards; shard++) {
    writtenAt.set(shard, performance.now());
    feeder.write(table, shard);
    await delay(10 + 40 * Math.random());
  }
  await counted;
  subscription.unsubscribe();
  return waits;
}
