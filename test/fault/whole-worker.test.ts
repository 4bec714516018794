// The built worker between real servers while all of them are killed, frozen and cut off at random; then the judge.

import { setTimeout as delay } from "node:timers/promises";
import { expect, inject, test } from "vitest";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import type { PostgresServer } from "../../src/dev/postgres.ts";
import { Random } from "../support/bus/scripted-bus.ts";
import { countChanges } from "../support/bus/stream-events.ts";
import { assertGuarantees } from "../support/check/guarantees.ts";
import { createTruthSlot } from "../support/check/truth.ts";
import type { OlderPostgres } from "../support/postgres/older-postgres.ts";
import { TABLES, writeAtRandom } from "../support/postgres/random-writes.ts";
import { watchAcknowledged } from "../support/postgres/watch-acknowledged.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

interface World {
  readonly nats: NatsServer;
  readonly postgres: PostgresServer;
  readonly toNats: TcpProxy;
  readonly toPostgres: TcpProxy;
  readonly random: Random;
  worker: WorkerProcess;
}

type Fault = (world: World) => Promise<void>;

const FAULTS = 8;
/** How long a fault lasts, and how long the world then has before the next one. */
const longest = (random: Random): Promise<void> => delay(200 + random.below(2_500));

const killWorker: Fault = async (world) => {
  await world.worker.kill();
  world.worker = await world.worker.again();
};
const killNats: Fault = async ({ nats, random }) => {
  await nats.kill();
  await longest(random);
  await nats.restart();
};
const killPostgres: Fault = async ({ postgres }) => {
  await postgres.stop("immediate");
  await postgres.restart();
};
const during =
  (begin: (world: World) => void, end: (world: World) => void | Promise<void>): Fault =>
  async (world) => {
    begin(world);
    await longest(world.random);
    await end(world);
  };

const suites: Readonly<Record<string, readonly Fault[]>> = {
  "everybody is killed": [killWorker, killNats, killPostgres],
  "everybody is frozen": [
    during(
      ({ worker }) => worker.pause(),
      ({ worker }) => worker.resume(),
    ),
    during(
      ({ nats }) => nats.pause(),
      ({ nats }) => nats.resume(),
    ),
    during(
      ({ postgres }) => postgres.pause(),
      ({ postgres }) => postgres.resume(),
    ),
  ],
  "connections are cut, held and slowed down": [
    async ({ toNats }) => toNats.cut(),
    async ({ toPostgres }) => toPostgres.cut(),
    during(
      ({ toNats }) => toNats.blackHole("down"),
      ({ toNats }) => toNats.heal(),
    ),
    during(
      ({ toNats }) => toNats.blackHole("up"),
      ({ toNats }) => toNats.heal(),
    ),
    during(
      ({ toPostgres }) => toPostgres.blackHole(),
      ({ toPostgres }) => toPostgres.heal(),
    ),
    during(
      ({ toNats }) => toNats.delay(20),
      ({ toNats }) => toNats.heal(),
    ),
    during(
      ({ toPostgres }) => toPostgres.trickle(500),
      ({ toPostgres }) => toPostgres.heal(),
    ),
  ],
};

const cases = [
  ...Object.entries(suites).map((suite) => [...suite, "postgres"] as const),
  ["everybody is killed", [killWorker, killNats, killPostgres], "postgres15" satisfies OlderPostgres] as const,
];

for (const [name, faults, server] of cases) {
  test.skipIf(missing("nats", server))(`nothing is lost, doubled or reordered when ${name}, on ${server}`, async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1e6);
    console.error(`${name}, on ${server}: SEED=${seed}`);
    await using nats = await freshNats();
    await using postgres = await freshPostgres({}, server === "postgres" ? undefined : inject("olderPostgres")[server]);
    await using database = await freshDatabase(postgres);
    await database.query(TABLES);
    const truth = await createTruthSlot(database.url);
    await using toNats = await TcpProxy.start(nats.port);
    await using toPostgres = await TcpProxy.start(postgres.port);
    const random = new Random(seed);
    const config = {
      bus: { servers: toNats.url(nats.url), fsync: "always" },
      sources: { shop: { kind: "postgres", url: toPostgres.url(database.url), tables: ["public.*"], timeout: "2s" } },
    };
    const world: World = { nats, postgres, toNats, toPostgres, random, worker: await WorkerProcess.start(config) };
    await world.worker.logged("source_started");
    const names = { url: database.url, slot: "millrace_shop", natsUrl: nats.url, stream: "CDC_SHOP" };
    const acknowledged = watchAcknowledged(names);
    const writers = writeAtRandom(database, seed);

    for (let left = FAULTS; left > 0; left--) {
      await longest(random);
      const fault = faults[random.below(faults.length)];
      await fault?.(world);
    }
    const transactions = await writers.stop();
    const committed = await truth.read();
    const arrived = async (): Promise<boolean> => (await countChanges(nats.url, "CDC_SHOP")) >= committed.length;
    await waitFor(arrived, { what: "the stream to hold all changes", timeoutMs: 60_000 });
    const told = async (): Promise<boolean> => {
      const [slot] = await database.query<{ behind: boolean }>(
        "select confirmed_flush_lsn < $1 as behind from pg_replication_slots where slot_name = 'millrace_shop'",
        [end],
      );
      return slot?.behind === false;
    };
    const [{ end } = { end: "" }] = await database.query<{ end: string }>("select pg_current_wal_lsn()::text as end");
    await waitFor(told, { what: "the slot to be acknowledged up to the end", timeoutMs: 60_000 });
    const samples = await acknowledged.stop();

    expect(await world.worker.stop()).toBe(0);
    expect(transactions).toBeGreaterThan(100);
    await assertGuarantees({ truth: committed, natsUrl: nats.url, source: "shop", samples });
  });
}
