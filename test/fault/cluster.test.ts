// A bus of three servers whose leaders are killed one after the other while rows are written: each row is stored once, in
// order. CLUSTER_ROWS=500000 CLUSTER_KILLS=10 is the full size.

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { checkBus } from "../../src/bus/jetstream/commands/check-bus.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import type { Finding } from "../../src/telemetry/finding.ts";
import { NatsCluster } from "../support/bus/nats-cluster.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { type Database, freshDatabase, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const rows = Number(process.env.CLUSTER_ROWS ?? 30_000);
const kills = Number(process.env.CLUSTER_KILLS ?? 3);
const TRANSACTION_ROWS = 100;
const STREAM = "CDC_SHOP";

function startWorker(cluster: NatsCluster, database: Database): Promise<WorkerProcess> {
  return WorkerProcess.start({
    bus: { servers: cluster.urls, replicas: 3, fsync: "always" },
    sources: { shop: { kind: "postgres", url: database.url, tables: ["public.line"] } },
  });
}

/** Commits rows 1, 2, 3 … up to a number that may rise meanwhile. */
class Lines {
  #allowed = 0;
  #last = 0;
  #writing: Promise<void> = Promise.resolve();
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  get last(): number {
    return this.#last;
  }

  /** Resolves when they are committed. */
  writeUpTo(id: number): Promise<void> {
    this.#allowed = id;
    this.#writing = this.#writing.then(async () => {
      while (this.#last < this.#allowed) {
        const to = Math.min(this.#last + TRANSACTION_ROWS, this.#allowed);
        await this.#database.query("insert into line select i, md5(i::text) from generate_series($1::int, $2::int) i", [
          this.#last + 1,
          to,
        ]);
        this.#last = to;
      }
    });
    return this.#writing;
  }
}

/** What the stream holds of them: the first place where a row is not the next one, and how many there are. */
async function readLines(
  cluster: NatsCluster,
): Promise<{ readonly count: number; readonly wrong: string | undefined }> {
  const connection = await connect({ servers: [...cluster.urls] });
  try {
    const consumer = await jetstream(connection).consumers.get(STREAM, { filter_subjects: "cdc.shop.public.line.>" });
    let count = 0;
    let wrong: string | undefined;
    if ((await consumer.info()).num_pending === 0) return { count, wrong };
    for await (const message of await consumer.consume({ max_messages: 2_000 })) {
      const id = Number(message.json<{ readonly key: { readonly id: number } }>().key.id);
      count++;
      if (id !== count) wrong ??= `row ${id} at ${message.seq} is the ${count}th`;
      if (message.info.pending === 0) break;
    }
    return { count, wrong };
  } finally {
    await connection.close();
  }
}

/** Waits until the stream has grown by this many messages. */
async function grown(cluster: NatsCluster, by: number): Promise<void> {
  const size = async (): Promise<number> => (await cluster.stream(STREAM)).state.last_seq;
  const before = await waitFor(size, { what: "the stream", timeoutMs: 60_000 });
  await waitFor(async () => (await size()) >= before + by, { what: `${by} more messages`, timeoutMs: 120_000 });
}

async function allStored(cluster: NatsCluster, count: number): Promise<void> {
  const timeoutMs = 120_000;
  await waitFor(async () => (await readNewest(cluster)) === count, { what: `row ${count} in the stream`, timeoutMs });
  expect(await readLines(cluster)).toEqual({ count, wrong: undefined });
}

async function readNewest(cluster: NatsCluster): Promise<number> {
  const connection = await connect({ servers: [...cluster.urls], timeout: 2_000 });
  try {
    const stream = await jetstream(connection).streams.get(STREAM);
    const message = await stream.getMessage({ last_by_subj: "cdc.shop.public.line.>" });
    return Number(message?.json<{ readonly key: { readonly id: number } }>().key.id);
  } finally {
    await connection.close();
  }
}

describe.skipIf(missing("postgres", "nats"))("on a cluster of three", () => {
  test(`each of ${rows} rows is stored once and in order while ${kills} leaders are killed`, {
    timeout: 3_600_000,
  }, async () => {
    await using cluster = await NatsCluster.start();
    await using database = await freshDatabase();
    await database.query("create table line(id bigint primary key, text text)");
    await using worker = await startWorker(cluster, database);
    await worker.logged("source_started", undefined, 60_000);
    const lines = new Lines(database);

    for (let kill = 0; kill < kills; kill++) {
      const leader = cluster.node(await cluster.settled(STREAM));
      const part = lines.writeUpTo(Math.floor((rows * (kill + 1)) / kills));
      await grown(cluster, 500);
      await leader.kill();
      await leader.restart();
      await part;
    }
    await allStored(cluster, rows);
    expect(await worker.stop()).toBe(0);
  });

  test("one of them may be away all the time", { timeout: 300_000 }, async () => {
    await using cluster = await NatsCluster.start();
    await using database = await freshDatabase();
    await database.query("create table line(id bigint primary key, text text)");
    const [away] = cluster.nodes.values();
    await away?.stop();
    await using worker = await startWorker(cluster, database);
    await worker.logged("source_started", undefined, 60_000);
    const lines = new Lines(database);

    await lines.writeUpTo(5_000);
    await allStored(cluster, 5_000);
    expect(await worker.stop()).toBe(0);
  });

  test("check sees too few copies, a copy that is away, and that all is well again", { timeout: 300_000 }, async () => {
    await using cluster = await NatsCluster.start();
    await cluster.formed();
    const connection = await connect({ servers: [...cluster.urls] });
    onTestFinished(() => connection.close());
    const jsm = await jetstreamManager(connection);
    const subjects = ["cdc.shop.>", "events.shop.>", "meta.shop.>"];
    const wrong = async (replicas: number): Promise<readonly string[]> => {
      const signal = AbortSignal.timeout(60_000);
      const options = {
        servers: cluster.urls,
        replicas,
        fsync: "always" as const,
        sources: ["shop" as SourceId],
        signal,
      };
      const findings: Finding[] = [];
      for await (const finding of checkBus(options)) findings.push(finding);
      // Where the servers' own setting cannot be read is another check's.
      return findings.filter(({ level, code }) => level !== "ok" && code !== "BUS_FSYNC").map(({ code }) => code);
    };
    const soon = (replicas: number, codes: readonly string[]): Promise<true> =>
      waitFor(
        async () => {
          expect(await wrong(replicas)).toEqual(codes);
          return true as const;
        },
        { what: codes.join(", ") || "nothing wrong", timeoutMs: 90_000 },
      );
    await jsm.streams.add({ name: STREAM, subjects, allow_atomic: true, num_replicas: 1 });

    await soon(1, ["BUS_TOO_FEW_SERVERS"]);
    await soon(3, ["BUS_STREAM_REPLICAS"]);
    await jsm.streams.update(STREAM, { num_replicas: 3 }); // as the fix says
    const leader = await cluster.settled(STREAM);
    await soon(3, []);
    const follower = [...cluster.nodes].find(([name]) => name !== leader)?.[1];
    await follower?.kill();
    await soon(3, ["BUS_REPLICA_AWAY"]);
    await follower?.restart();
    await soon(3, []);
  });
});
