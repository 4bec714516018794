// Everything that happens to the two connections of a worker short of a kill of its own: black holes in each direction,
// half-open ones, trickling ones, restarts, and a bus that stays away.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startWorker, type Worker } from "../../src/app.ts";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import type { PostgresServer } from "../../src/dev/postgres.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { missing } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

/** A silent peer is noticed within a second or two. */
const timing = { pingIntervalMs: 300, ackTimeoutMs: 1_000, idleCheckMs: 1_000 };
const SOURCE_TIMEOUT = "500ms";

interface Watched extends AsyncDisposable {
  readonly worker: Worker;
  readonly log: RecordedLog;
  readonly toBus: TcpProxy;
  readonly toDatabase: TcpProxy;
  /** Waits for that many more events in the stream. */
  more(events: number): Promise<void>;
}

async function watch(ground: FaultGround, maxAwayMs = 60_000): Promise<Watched> {
  const toBus = await TcpProxy.start(ground.nats.port);
  const toDatabase = await TcpProxy.start(ground.database.server.port);
  const log = new RecordedLog();
  const configuration = ground.configuration({
    natsUrl: toBus.url(ground.nats.url),
    databaseUrl: toDatabase.url(ground.database.url),
    timeout: SOURCE_TIMEOUT,
  });
  const worker = await startWorker(configuration, { log, timing: { ...timing, maxAwayMs } });
  const published = (): number => worker.status().sources[0]?.published ?? 0;
  const more = async (events: number): Promise<void> => {
    const before = published();
    await waitFor(() => published() > before + events, { what: `${events} more events`, timeoutMs: 60_000 });
  };
  await waitFor(() => log.count("source_started") > 0, { what: "the source to be read" });
  const end = async (): Promise<void> => {
    await Promise.all([toBus.heal(), toDatabase.heal()]);
    await worker.stop();
    await Promise.all([toBus[Symbol.asyncDispose](), toDatabase[Symbol.asyncDispose]()]);
  };
  return { worker, log, toBus, toDatabase, more, [Symbol.asyncDispose]: end };
}

/** Waits until it has been logged once more than before. */
function noticed(log: RecordedLog, event: "bus_disconnected" | "source_retrying"): Promise<unknown> {
  const before = log.count(event);
  return waitFor(() => log.count(event) > before, { what: event });
}

interface Fault {
  readonly what: string;
  /** Resolves when the worker has suffered enough; then all is healed. */
  readonly inflict: (watched: Watched) => Promise<unknown>;
}

const sides = [
  { side: "bus", proxy: ({ toBus }: Watched) => toBus, event: "bus_disconnected" },
  { side: "database", proxy: ({ toDatabase }: Watched) => toDatabase, event: "source_retrying" },
] as const;

const wires: readonly Fault[] = sides.flatMap(({ side, proxy, event }) => [
  ...([["up"], ["down"], ["up", "down"]] as const).map((directions) => ({
    what: `the ${side} behind a black hole, ${directions.join(" and ")}`,
    inflict: (watched: Watched) => {
      proxy(watched).blackHole(...directions);
      return noticed(watched.log, event);
    },
  })),
  {
    what: `a half-open connection to the ${side}`,
    inflict: async (watched: Watched) => {
      proxy(watched).forget();
      await noticed(watched.log, event);
      await watched.more(20); // over a new connection, with nothing healed
    },
  },
  {
    what: `a connection to the ${side} that trickles`,
    inflict: async (watched: Watched) => {
      proxy(watched).trickle(2_000);
      await watched.more(50);
    },
  },
  {
    what: `cut connections to the ${side}`,
    inflict: async (watched: Watched) => {
      for (let times = 3; times > 0; times--) {
        proxy(watched).cut();
        await watched.more(20);
      }
    },
  },
]);

const servers: readonly (readonly [
  string,
  (servers: { nats: NatsServer; postgres: PostgresServer }) => Promise<void>,
])[] = [
  ["a restart of Postgres", ({ postgres }) => postgres.restart()],
  [
    "an immediate shutdown of Postgres",
    async ({ postgres }) => {
      await postgres.stop("immediate");
      await postgres.restart();
    },
  ],
  ["a restart of nats-server", ({ nats }) => nats.restart()],
  [
    "a kill of nats-server",
    async ({ nats }) => {
      await nats.kill();
      await nats.restart();
    },
  ],
];

describe.skipIf(missing("postgres", "nats"))("the stream stays exact through", () => {
  test.each(wires)("$what", async ({ what, inflict }) => {
    await using ground = await FaultGround.start();
    await using watched = await watch(ground);
    await using load = ground.write(seedOf(what));
    await watched.more(50);

    await inflict(watched);
    await Promise.all([watched.toBus.heal(), watched.toDatabase.heal()]);
    await watched.more(50);

    await load.stop();
    await ground.judge();
  });

  test.each(servers)("%s", async (what, fail) => {
    await using ground = await FaultGround.start();
    await using watched = await watch(ground);
    await using load = ground.write(seedOf(what));
    await watched.more(50);

    await fail({ nats: ground.nats, postgres: ground.database.server });
    await watched.more(50);

    await load.stop();
    await ground.judge();
  });

  test("a bus that stays away: the slot is kept for a while, then let go, and read again when the bus is back", async () => {
    await using ground = await FaultGround.start();
    const maxAwayMs = 3_000;
    await using watched = await watch(ground, maxAwayMs);
    await using load = ground.write(seedOf("the bus stays away"));
    await watched.more(50);
    const reader = async (): Promise<number | null | undefined> => {
      const slots = await ground.database.query<{ active_pid: number | null }>(
        "select active_pid from pg_replication_slots where slot_name = 'millrace_shop'",
      );
      return slots[0]?.active_pid;
    };
    const log = (): string => readFileSync(join(ground.database.server.dataDir, "server.log"), "utf8");
    const pid = await reader();
    const logged = log().length;

    const awaySinceMs = performance.now();
    await ground.nats.stop();
    const kept: boolean[] = [];
    await waitFor(
      async () => {
        const same = (await reader()) === pid;
        if (performance.now() - awaySinceMs < maxAwayMs) kept.push(same);
        return watched.log.of("source_retrying").some(({ code }) => code === "BUS_AWAY");
      },
      { what: "the worker to give up" },
    );
    await waitFor(async () => (await reader()) === null, { what: "the slot to be free" });
    // Nobody reads it again in vain: the bus comes first.
    const before = watched.log.count("source_started");
    await noticed(watched.log, "source_retrying");
    const free = (await reader()) === null;
    const seen = log().slice(logged);
    await ground.nats.restart();
    await watched.more(50);

    await load.stop();
    await ground.judge();
    expect(kept.length).toBeGreaterThan(10); // far longer than the server waits for a sign of life
    expect(kept).not.toContain(false);
    expect(free).toBe(true);
    expect(watched.log.count("source_started")).toBe(before + 1);
    // As Postgres saw it, the connection was ended and not broken.
    expect(seen).not.toMatch(/unexpected EOF|replication timeout|could not receive data/);
  });
});

describe.skipIf(missing("postgres", "nats"))("a worker that is stopped while the bus is away", () => {
  test("ends within seconds, however much waits to be stored", async () => {
    await using ground = await FaultGround.start();
    await using watched = await watch(ground);
    const read = (): number => watched.worker.status().sources[0]?.read ?? 0;
    await ground.database.query("insert into item(id, sub) values (0, 0)");
    const published = (): number => watched.worker.status().sources[0]?.published ?? 0;
    await waitFor(() => published() > 0, { what: "the table to be known" });
    await ground.nats.stop();
    // More than may wait: whoever reads is held up as well.
    await ground.database.query(
      "insert into item(id, sub, doc) select i, 0, repeat(md5(i::text), 150) from generate_series(1, 3000) i",
    );
    await waitFor(() => read() > 1_000, { what: "the source to be held up" });

    const sinceMs = performance.now();
    await watched.worker.stop();

    expect(performance.now() - sinceMs).toBeLessThan(20_000);
  });

  test("ends within seconds, though what a new table is waits to be stored", async () => {
    await using ground = await FaultGround.start();
    await using watched = await watch(ground);
    const running = (): boolean => watched.worker.status().sources[0]?.state === "running";
    await waitFor(running, { what: "the database to have agreed to send" });
    await ground.nats.stop();
    await ground.database.query("insert into item(id, sub) values (0, 0)");
    const sent = "select from pg_stat_replication where sent_lsn >= pg_current_wal_flush_lsn()";
    await waitFor(async () => (await ground.database.query(sent)).length > 0, { what: "the row to be sent" });

    const sinceMs = performance.now();
    await watched.worker.stop();

    expect(performance.now() - sinceMs).toBeLessThan(20_000);
  });
});
