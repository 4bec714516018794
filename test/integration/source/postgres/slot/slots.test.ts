// All logical slots of a real Postgres: what is reported of them, and whether the forecast comes true.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import {
  type ServerReport,
  type SlotReport,
  SlotReporter,
  withOwners,
} from "../../../../../src/source/postgres/commands/slots.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { writeSteadily } from "../../../../support/postgres/write-steadily.ts";
import { freshDatabase, freshPostgres, missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

const SHOP = "shop" as SourceId;

function watchOf(url: string): { look(): Promise<ServerReport>; drop(name: string): Promise<void> } {
  const watch = new SlotReporter(SHOP, { url });
  onTestFinished(() => watch[Symbol.asyncDispose]());
  const owners = new Map([["millrace_shop", SHOP]]);
  return { look: async () => withOwners(await watch.look(), owners), drop: (name) => watch.drop(name) };
}

describe.skipIf(missing("postgres"))("the slots of a server", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text)");

  test("ours is marked, one of ours without a source is an orphan, a neighbour's is neither; by the least role", async () => {
    const { database, begin } = fixture;
    const { reading } = await begin();
    await database.query("select pg_create_logical_replication_slot('millrace_old', 'pgoutput')");
    await database.query("select pg_create_logical_replication_slot('neighbour', 'test_decoding')");
    await database.query("drop role if exists looker; create role looker login replication");
    const watch = watchOf(database.url.replace("postgres@", "looker@"));

    const { slots } = await watch.look();
    expect(slots.map(({ name, source, orphan, active }) => ({ name, source, orphan, active }))).toEqual([
      { name: "millrace_old", source: null, orphan: true, active: false },
      { name: "millrace_shop", source: "shop", orphan: false, active: true },
      { name: "neighbour", source: null, orphan: false, active: false },
    ]);
    const [old, ours] = slots as readonly [SlotReport, SlotReport];
    expect(old.failover).toBe(false);
    expect(old.inactiveSeconds).toBeGreaterThanOrEqual(0);
    expect(ours).toMatchObject({ plugin: "pgoutput", walStatus: "reserved", invalidation: null, failover: true });
    expect(ours.pid).toEqual(await fixture.value("select active_pid from pg_replication_slots where active"));
    await reading.stop();
  });

  test("what is written and not acknowledged is unconfirmed, and held", async () => {
    const { database } = fixture;
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    const watch = watchOf(database.url);
    const before = (await watch.look()).slots[0] as SlotReport;
    await database.query("select pg_logical_emit_message(true, 'x', repeat('x', 3000000))");
    const { slots, walBytesPerSecond } = await watch.look();

    expect((slots[0]?.unconfirmedBytes ?? 0) - (before.unconfirmedBytes ?? 0)).toBeGreaterThan(3_000_000);
    expect(slots[0]?.retainedBytes).toBeGreaterThan(3_000_000);
    expect(walBytesPerSecond).toBeGreaterThan(0);
  });

  test("the oldest writing transaction is named by its process", async () => {
    const writer = await fixture.database.connect();
    try {
      await writer.query("begin; insert into orders values (1)");
      const { rows } = await writer.query<{ pid: number }>("select pg_backend_pid() as pid");
      const { oldestTransaction } = await watchOf(fixture.database.url).look();

      expect(oldestTransaction).toMatchObject({ pid: rows[0]?.pid, ageSeconds: expect.any(Number) });
    } finally {
      await writer.end();
    }
  });

  test("a slot is dropped, one that is read is not, one that is not there is said so", async () => {
    const { database, begin } = fixture;
    const { reading } = await begin();
    await database.query("select pg_create_logical_replication_slot('dead', 'pgoutput')");
    const watch = watchOf(database.url);

    await watch.drop("dead");
    await expect(watch.drop("dead")).rejects.toMatchObject({ code: "SLOT_NOT_FOUND" });
    await expect(watch.drop("millrace_shop")).rejects.toMatchObject({ code: "SLOT_ACTIVE" });
    await reading.stop();
  });

  test("a writer of fixed rate: the time until the slot's log is full is forecast within 20 %, then it is lost", async () => {
    const server = await freshPostgres({
      max_slot_wal_keep_size: "48MB",
      checkpoint_timeout: "1h",
      max_wal_size: "1GB",
    });
    await using database = await freshDatabase(server);
    await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
    const watch = watchOf(database.url);
    const stop = new AbortController();
    const writing = writeSteadily(database, 6_000_000, stop.signal);
    try {
      await watch.look();
      await delay(3000); // the rate is measured over this time: it is what the command does
      const { slots } = await watch.look();
      const forecastAtMs = performance.now();
      const forecastS = slots[0]?.fullInSeconds ?? Number.NaN;
      const full = async (): Promise<boolean> => ((await watch.look()).slots[0]?.safeBytes ?? 1) <= 0;
      await waitFor(full, { what: "the slot to be full", timeoutMs: 60_000 });
      const tookS = (performance.now() - forecastAtMs) / 1000;

      expect(forecastS / tookS).toBeGreaterThan(0.8);
      expect(forecastS / tookS).toBeLessThan(1.2);
    } finally {
      stop.abort();
      await writing;
    }
    await database.query("select pg_switch_wal()");
    await database.query("checkpoint");
    expect((await watch.look()).slots[0]).toMatchObject({
      walStatus: "lost",
      invalidation: "wal_removed",
      fullInSeconds: null,
    });
  });
});
