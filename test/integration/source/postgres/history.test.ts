// When the source no longer holds what comes next: each way to lose the log is told by name, never passed over.

import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startPostgres } from "../../../../src/dev/postgres.ts";
import type { Position } from "../../../../src/event/position.ts";
import { gaps, postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, openShop, Reading, TestMemory, type TestSource } from "../../../support/postgres/reader.ts";
import { type Database, freshDatabase, freshPostgres, missing, scratchDir } from "../../../support/servers.ts";
import { TcpProxy } from "../../../support/tcp-proxy.ts";
import { waitFor } from "../../../support/wait-for.ts";

const TABLE = "create table orders(id int primary key, status text)";
const SLOT = "millrace_shop";

describe.skipIf(missing("postgres"))("a Postgres source whose log is not what it was", () => {
  const fixture = postgresFixture(TABLE);
  const insert = (id: number) => fixture.database.query("insert into orders values ($1)", [id]);
  /** Reads one row, and leaves the source closed. */
  const started = async (): Promise<{ source: TestSource; last: Position | undefined }> => {
    const { source, reading } = await fixture.begin();
    await insert(1);
    await reading.rows(1);
    await reading.stop();
    await source[Symbol.asyncDispose]();
    return { source, last: reading.last };
  };
  const endOf = async (source: TestSource, from: Position | undefined): Promise<unknown> =>
    new Reading(source, from).ended;

  describe("its slot", () => {
    test("was dropped", async () => {
      const { source } = await started();
      await fixture.database.query("select pg_drop_replication_slot($1)", [SLOT]);

      expect(await failureOf(fixture.reopen(source))).toMatchObject({ name: "HistoryLostError", code: "SLOT_MISSING" });
    });

    test("was dropped while it was read", async () => {
      const { source, reading } = await fixture.begin();
      await waitFor(
        async () => {
          await fixture.database.query("select pg_terminate_backend(active_pid) from pg_replication_slots");
          await fixture.database.query("select pg_drop_replication_slot($1)", [SLOT]);
          return true;
        },
        { what: "the slot to be dropped" },
      );
      expect(await reading.ended).toMatchObject({ name: "TransientError" });

      expect(await endOf(source, reading.last)).toMatchObject({ name: "HistoryLostError", code: "SLOT_MISSING" });
    });

    test("was dropped and made again", async () => {
      const { source, last } = await started();
      await fixture.database.query("select pg_drop_replication_slot($1)", [SLOT]);
      await insert(2);
      await fixture.database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [SLOT]);
      const again = await fixture.reopen(source);

      expect(await endOf(again, last)).toMatchObject({ name: "HistoryLostError", code: "SLOT_ADVANCED" });
    });

    test("was advanced by somebody, and --adopt goes on with the gap on record", async () => {
      const { source, last } = await started();
      await insert(2);
      await fixture.database.query("select pg_replication_slot_advance($1, pg_current_wal_lsn())", [SLOT]);
      const strict = await fixture.reopen(source);
      expect(await endOf(strict, last)).toMatchObject({ name: "HistoryLostError", code: "SLOT_ADVANCED" });
      const adopting = await fixture.reopen(strict, { adopt: true });
      const reading = new Reading(adopting, last);
      await insert(3);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 3 } }]);
      await reading.stop();

      expect(reading.events.slice(0, 2).map(({ subject }) => subject)).toEqual(["meta.shop.gap", "meta.shop.history"]);
      expect(JSON.parse(Buffer.from(reading.events[0]?.data ?? []).toString())).toMatchObject({ after: last });
      expect((reading.events[0]?.position ?? "") > (last ?? "")).toBe(true);
      // A crash before the markers are stored: they come again, without --adopt.
      const again = new Reading(await fixture.reopen(adopting), last);
      await again.rows(1);
      expect(again.events).toEqual(reading.events.map((event) => expect.objectContaining({ subject: event.subject })));
      await again.stop();
    });

    test("was advanced into the transaction whose first half is stored", async () => {
      const { source, reading } = await fixture.begin();
      await fixture.database.query("insert into orders select generate_series(1, 3)");
      await reading.rows(3);
      const inside = reading.events.at(-2)?.position;
      await reading.acknowledge();
      const acknowledged = await fixture.value("select confirmed_flush_lsn::text from pg_replication_slots");
      await reading.stop();

      expect(acknowledged).not.toBeNull();
      expect(await endOf(source, inside)).toMatchObject({ name: "HistoryLostError", code: "SLOT_ADVANCED" });
      // Accepted, it goes on behind all of the transaction: positions never fall.
      const adopting = new Reading(await fixture.reopen(source, { adopt: true }), inside);
      await insert(4);
      expect(await adopting.rows(1)).toMatchObject([{ key: { id: 4 } }]);
      await adopting.stop();
      expect(gaps(adopting)).toMatchObject([{ code: "SLOT_ADVANCED", after: inside }]);
      const places = [inside ?? "", ...adopting.events.map(({ position }) => position)];
      expect(places).toEqual(places.toSorted());
    });

    test("has another name in the configuration", async () => {
      const { source } = await started();

      for (const options of [{ slot: "other" }, { publication: "other" }]) {
        const error = await failureOf(fixture.reopen(source, { options }));
        expect(error).toMatchObject({ name: "ConfigError", code: "SLOT_RENAMED" });
      }
    });
  });

  describe("its publication", () => {
    test("was dropped while it was closed", async () => {
      const { source } = await started();
      await fixture.database.query(`drop publication ${SLOT}`);

      const error = await failureOf(fixture.reopen(source));
      expect(error).toMatchObject({ name: "HistoryLostError", code: "PUBLICATION_MISSING" });
      expect(await fixture.value("select count(*)::int from pg_publication")).toBe(0);
    });

    test("was dropped while it was read: nothing behind that is acknowledged", async () => {
      const { source, reading } = await fixture.begin();
      await insert(1);
      await reading.rows(1);
      await fixture.database.query(`drop publication ${SLOT}`);
      await insert(2);
      const error = await reading.ended;
      expect(error).toMatchObject({ name: "HistoryLostError", code: "PUBLICATION_MISSING" });
      const end = reading.last;
      expect(reading.bodies).toHaveLength(1);

      // Made again, it still lacks the row written meanwhile, and the server says so every time.
      await fixture.database.query(`create publication ${SLOT} for table orders`);
      await insert(3);
      const again = await fixture.reopen(source);
      expect(await endOf(again, end)).toMatchObject({ name: "HistoryLostError", code: "PUBLICATION_MISSING" });
    });
  });

  describe("its stream", () => {
    test("is ahead of the server", async () => {
      const { source } = await fixture.begin();
      await source[Symbol.asyncDispose]();
      const again = await fixture.reopen(source);
      const ahead = "0001.00ffffffffffffff.0000000000000000.a000000+" as Position;

      expect(await endOf(again, ahead)).toMatchObject({ name: "HistoryLostError", code: "SOURCE_REWOUND" });
    });

    test("is of another history", async () => {
      const { source, last } = await started();
      const again = await fixture.reopen(source);
      const other = last?.replace(/^0001/, "0002") as Position;

      expect(await endOf(again, other)).toMatchObject({ name: "HistoryLostError", code: "SOURCE_HISTORY" });
    });
  });

  describe("its connection", () => {
    test("was cut: a TransientError, and the same source reads on", async () => {
      await using proxy = await TcpProxy.start(fixture.database.server.port);
      await using source = await openShop(proxy.url(fixture.database.url));
      const reading = new Reading(source);
      await insert(1);
      await reading.rows(1);
      proxy.cut();
      expect(await reading.ended).toMatchObject({ name: "TransientError", code: "SOURCE_UNREACHABLE" });
      await insert(2);

      const again = new Reading(source, reading.last);
      expect(await again.rows(1)).toMatchObject([{ key: { id: 2 } }]);
      await again.stop();
    });

    test("became silent: noticed after twice the timeout, and given up without hanging", async () => {
      await using proxy = await TcpProxy.start(fixture.database.server.port);
      const source = await openShop(proxy.url(fixture.database.url), { options: { timeout: "400ms" } });
      const reading = new Reading(source);
      // Once a row has come out nothing is asked of the catalog any more: an answer to that would be waited for first, longer.
      await insert(1);
      await reading.rows(1);
      proxy.blackHole();

      expect(await reading.ended).toMatchObject({ name: "TransientError", code: "SOURCE_SILENT" });
      const began = performance.now();
      await source[Symbol.asyncDispose]();
      expect(performance.now() - began).toBeLessThan(20_000);
    });

    test("belongs to a reader that it may not end: named, after some seconds", async () => {
      const { source, reading } = await fixture.begin();
      await fixture.database.query("drop role if exists repl; create role repl login replication");
      const url = fixture.database.url.replace("postgres@", "repl@");
      await using other = await openShop(url, { memory: source.memory });
      const pid = await fixture.value("select active_pid from pg_replication_slots where slot_name = $1", [SLOT]);
      const error = await endOf(other, reading.last);

      expect(error).toMatchObject({ name: "TransientError", code: "SLOT_ACTIVE" });
      expect(error).toMatchObject({ message: expect.stringContaining(String(pid)) });
      await reading.stop();
    });
  });
});

describe.skipIf(missing("postgres"))("a Postgres server that is not what it was", () => {
  const one = async (database: Database, id: number): Promise<void> => {
    await database.query("insert into orders values ($1)", [id]);
  };

  test("gave up the slot because it kept too much log, or was idle for too long", async () => {
    const server = await freshPostgres({ max_slot_wal_keep_size: "1MB" });
    for (const cause of ["wal", "idle"]) {
      await using database = await freshDatabase(server);
      await database.query(TABLE);
      const source = await openShop(database.url);
      await source[Symbol.asyncDispose]();
      if (cause === "idle") {
        await database.query("alter system set idle_replication_slot_timeout = '1s'");
        await database.query("select pg_reload_conf()");
      }
      await waitFor(
        async () => {
          if (cause === "wal") await database.query("select pg_logical_emit_message(false, 'x', 'y'), pg_switch_wal()");
          await database.query("checkpoint");
          const [slot] = await database.query<{ reason: string | null }>(
            "select invalidation_reason as reason from pg_replication_slots where database = current_database()",
          );
          return slot?.reason != null;
        },
        { what: "the slot to be given up" },
      );

      const error = await failureOf(openShop(database.url, { memory: source.memory }));
      expect(error).toMatchObject({ name: "HistoryLostError", code: "SLOT_LOST" });
      expect(error).toMatchObject({
        message: expect.stringMatching(cause === "idle" ? /idle_timeout/ : /wal_removed/),
      });
    }
  });

  test("is another cluster", async () => {
    const servers = [await freshPostgres(), await freshPostgres()] as const;
    await using first = await freshDatabase(servers[0]);
    await first.query(TABLE);
    const source = await openShop(first.url);
    await source[Symbol.asyncDispose]();
    await using second = await freshDatabase(servers[1]);
    await second.query(TABLE);
    await using decoy = await openShop(second.url);
    expect(decoy.memory.value).toMatchObject({ stage: "created" });

    const error = await failureOf(openShop(second.url, { memory: new TestMemory(source.memory.value) }));
    expect(error).toMatchObject({ name: "HistoryLostError", code: "SOURCE_OTHER_CLUSTER" });
  });

  test("was promoted behind all that is stored: the history goes on", async () => {
    const dataDir = join(await scratchDir(), "postgres");
    await using server = await startPostgres({ dataDir, settings: { fsync: "off" } });
    await using database = await freshDatabase(server);
    await database.query(TABLE);
    const source = await openShop(database.url);
    const reading = new Reading(source);
    await one(database, 1);
    await reading.rows(1);
    await reading.stop();
    await source[Symbol.asyncDispose]();
    await server.stop();
    asStandby(server.dataDir);
    await server.restart();
    await database.query("select pg_promote()");
    await one(database, 2);

    await using again = await openShop(database.url, { memory: source.memory });
    const next = new Reading(again, reading.last);
    expect(await next.rows(1)).toMatchObject([{ key: { id: 2 } }]);
    expect(again.memory.value).toMatchObject({ timeline: 2, history: 1 });
    await next.stop();
  });

  test("was promoted before what is stored: those commits are no more", async () => {
    const dir = await scratchDir();
    const server = await startPostgres({ dataDir: join(dir, "primary"), settings: { fsync: "off" } });
    const database = await freshDatabase(server);
    await database.query(TABLE);
    const source = await openShop(database.url);
    await source[Symbol.asyncDispose]();
    await server.stop();
    const standby = join(dir, "standby");
    execFileSync("cp", ["-a", server.dataDir, standby]); // with its owner
    await server.restart();
    await using reopened = await openShop(database.url, { memory: source.memory });
    const reading = new Reading(reopened);
    await one(database, 1);
    await reading.rows(1);
    await reading.stop();
    await reopened[Symbol.asyncDispose]();
    await server.stop();

    asStandby(standby);
    await using promoted = await startPostgres({ dataDir: standby, port: server.port, settings: { fsync: "off" } });
    expect(promoted.dataDir).toBe(standby);
    await database.query("select pg_promote()");
    await one(database, 2);
    const error = await openShop(database.url, { memory: source.memory }).then(
      (again) => new Reading(again, reading.last).ended,
    );
    expect(error).toMatchObject({ name: "HistoryLostError", code: "SOURCE_TIMELINE" });
  });
});

/** The next start will follow a log that does not come, until it is promoted. */
function asStandby(dataDir: string): void {
  const signal = join(dataDir, "standby.signal");
  writeFileSync(signal, "");
  chmodSync(signal, 0o666); // the server may be another user's
}
