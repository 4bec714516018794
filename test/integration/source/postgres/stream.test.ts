// A source on a real Postgres: what the log carries, feedback, restarts, and the LSNs that are easily mistaken.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bare, isComplete, type Position } from "../../../../src/event/position.ts";
import { type OpenOptions, openShop, Reading, type TestSource } from "../../../support/postgres/reader.ts";
import { reached } from "../../../support/postgres/transactions.ts";
import { type Database, freshDatabase, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("a Postgres source", () => {
  let database: Database;
  const sources: TestSource[] = [];

  const open = async (options: OpenOptions = {}): Promise<TestSource> => {
    const source = await openShop(database.url, options);
    sources.push(source);
    return source;
  };
  /** As after a restart: a new source with the old one's memory. */
  const reopen = async (source: TestSource, options: OpenOptions = {}): Promise<TestSource> => {
    await source[Symbol.asyncDispose]();
    return open({ memory: source.memory, ...options });
  };
  const confirmed = async (): Promise<string> => {
    const [row] = await database.query<{ lsn: string }>(
      "select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = 'millrace_shop'",
    );
    return row?.lsn ?? "none";
  };
  const caughtUp = async (lsn: string): Promise<boolean> => {
    const [row] = await database.query<{ ok: boolean }>(
      "select confirmed_flush_lsn >= $1::pg_lsn as ok from pg_replication_slots where slot_name = 'millrace_shop'",
      [lsn],
    );
    return row?.ok === true;
  };

  beforeEach(async () => {
    database = await freshDatabase();
    await database.query("create table orders(id bigint primary key, status text, doc text)");
    await database.query("alter table orders alter doc set storage external");
  });
  afterEach(async () => {
    for (const source of sources.splice(0)) await source[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  describe("what it reads", () => {
    test("begins with a history marker right before its slot's first byte", async () => {
      const source = await open();
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the marker");
      const [marker] = reading.events;

      const consistentPoint = source.memory.value?.consistentPoint;
      expect(marker?.subject).toBe("meta.shop.history");
      expect(JSON.parse(Buffer.from(marker?.data ?? []).toString())).toMatchObject({
        history: 1,
        slot: "millrace_shop",
        consistentPoint,
        reason: "first start",
      });
      const [row] = await database.query<{ position: string }>(
        "select '0001.' || lpad(to_hex(($1::pg_lsn - '0/0')::bigint - 1), 16, '0') as position",
        [consistentPoint],
      );
      expect(marker?.position).toBe(`${row?.position}.0000000000000000.a000000+`);
      await reading.stop();
    });

    test("is every change in order, each transaction's last one marked, and nothing that was rolled back", async () => {
      const reading = new Reading(await open());
      await database.query("insert into orders values (1, 'new')");
      await database.query("begin; insert into orders values (2, 'no'); rollback");
      await database.query(
        "begin; update orders set status = 'paid'; savepoint s; insert into orders values (3, 'no'); rollback to s; update orders set id = 5; delete from orders; commit",
      );
      await database.query("truncate orders");
      const bodies = await reading.rows(6);
      const events = reading.events.filter(({ subject }) => subject.startsWith("cdc."));

      expect(bodies).toEqual([
        { op: "created", key: { id: "1" }, before: null, after: { id: "1", status: "new", doc: null } },
        { op: "updated", key: { id: "1" }, before: null, after: { id: "1", status: "paid", doc: null } },
        { op: "deleted", key: { id: "1" }, before: { id: "1" }, after: null, movedTo: { id: "5" } },
        {
          op: "created",
          key: { id: "5" },
          before: null,
          after: { id: "5", status: "paid", doc: null },
          movedFrom: { id: "1" },
        },
        { op: "deleted", key: { id: "5" }, before: { id: "5" }, after: null },
        { op: "truncated", key: null, before: null, after: null },
      ]);
      expect(events.map(({ position }) => isComplete(position))).toEqual([true, false, false, false, true, true]);
      await reading.stop();
    });

    test("names unchanged TOAST columns, and fills them in under full identity", async () => {
      await database.query("create table notes(id int primary key, note text, doc text)");
      await database.query("alter table notes replica identity full; alter table notes alter doc set storage external");
      const reading = new Reading(await open());
      const doc = "x".repeat(5000);
      await database.query("insert into orders values (1, 'new', $1)", [doc]);
      await database.query("update orders set status = 'paid'");
      await database.query("insert into notes values (1, 'a', $1)", [doc]);
      await database.query("update notes set note = 'b'");
      const bodies = await reading.rows(4);

      expect(bodies[1]).toEqual({
        op: "updated",
        key: { id: "1" },
        before: null,
        after: { id: "1", status: "paid" },
        unchanged: ["doc"],
      });
      expect(bodies[3]).toEqual({
        op: "updated",
        key: { id: 1 },
        before: { id: 1, note: "a", doc },
        after: { id: 1, note: "b", doc },
        changed: ["note"],
      });
      await reading.stop();
    });

    test("has the values of the database, whatever role and database are set to", async () => {
      await database.query(
        "create table vals(id int primary key, at timestamptz, local timestamp, n numeric, f float8, ok bool, j json, u uuid, c char(4))",
      );
      const [{ name } = { name: "" }] = await database.query<{ name: string }>("select current_database() as name");
      await database.query(`alter database ${name} set datestyle = 'SQL, DMY'`);
      await database.query(`alter database ${name} set timezone = 'Asia/Kathmandu'`);
      await database.query(`alter database ${name} set extra_float_digits = -10`);
      const reading = new Reading(await open());
      await database.query(`insert into vals values
        (1, '2024-02-29 18:29:59.12+00', '2024-02-29 18:29:59', 1.50, 0.1::float8 + 0.2, true, '{"a":  1e400}', '00000000-0000-0000-0000-00000000000a', 'ab'),
        (2, 'infinity', '0044-03-15 00:00:00 BC', 'NaN', '-Infinity', null, 'null', null, null)`);
      await reading.rows(2);
      const texts = reading.events.slice(1).map(({ data }) => Buffer.from(data).toString("utf8"));

      expect(texts[0]).toContain(
        '"at":"2024-02-29T18:29:59.12Z","local":"2024-02-29T18:29:59","n":"1.50","f":0.30000000000000004,"ok":true,"j":{"a":  1e400},"u":"00000000-0000-0000-0000-00000000000a","c":"ab  "',
      );
      expect(texts[1]).toContain(
        '"at":"infinity","local":"-000043-03-15T00:00:00","n":"NaN","f":"-Infinity","ok":null,"j":null,"u":null,"c":null',
      );
      await reading.stop();
    });

    test("gives partitions' rows the name of their root, and moves between them as delete and create", async () => {
      await database.query("create table parts(id int, day int, primary key (id, day)) partition by range (day)");
      await database.query("create table parts_1 partition of parts for values from (0) to (10)");
      await database.query("create table parts_2 partition of parts for values from (10) to (20)");
      const reading = new Reading(await open());
      await database.query("insert into parts values (1, 5)");
      await database.query("update parts set day = 15");
      await reading.rows(3);

      expect(reading.events.slice(1).map(({ subject }) => subject.split(".").slice(2, 5).join("."))).toEqual([
        "public.parts.created",
        "public.parts.deleted",
        "public.parts.created",
      ]);
      await reading.stop();
    });

    test("follows a table that changes its columns inside a transaction", async () => {
      const reading = new Reading(await open());
      await database.query(
        "begin; insert into orders values (1, 'a'); alter table orders add extra int default 7; insert into orders values (2, 'b'); alter table orders drop status; insert into orders values (3); commit",
      );
      const bodies = await reading.rows(3);

      expect(bodies.map(({ after }) => after)).toEqual([
        { id: "1", status: "a", doc: null },
        { id: "2", status: "b", doc: null, extra: 7 },
        { id: "3", doc: null, extra: 7 },
      ]);
      await reading.stop();
    });

    test("gives rows of one COPY different places", async () => {
      const reading = new Reading(await open());
      await database.query("insert into orders select g, 'x' from generate_series(1, 500) g");
      await reading.rows(500);

      expect(new Set(reading.messages.map(({ position }) => bare(position))).size).toBe(reading.messages.length);
      await reading.stop();
    });
  });

  describe("feedback", () => {
    test("moves the slot only to what was acknowledged", async () => {
      const source = await open({ options: { timeout: "600ms" } });
      const start = await confirmed();
      const reading = new Reading(source);
      await database.query("insert into orders values (1, 'a')");
      const [{ end } = { end: "" }] = await database.query<{ end: string }>("select pg_current_wal_lsn()::text as end");
      await reading.rows(1);
      const received = async (): Promise<boolean> =>
        (await database.query("select 1 from pg_stat_replication where write_lsn >= $1::pg_lsn", [end])).length > 0;
      await waitFor(received, { what: "the server to be told that the row was received" });
      expect(await confirmed()).toBe(start);
      await reading.acknowledge();

      await waitFor(async () => (await confirmed()) !== start, { what: "the slot to move" });
      await reading.stop();
    });

    test("follows an idle database and the log of others", async () => {
      const source = await open({ options: { timeout: "1s" } });
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the marker");
      await database.query("create schema aside; create table aside.hidden as select generate_series(1, 10000)");
      const [{ lsn } = { lsn: "" }] = await database.query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn");

      await reading.until(async () => {
        await reading.acknowledge();
        return caughtUp(lsn);
      }, "the slot to follow");
      const lag = await source.lag(AbortSignal.timeout(5000));
      expect(lag.unconfirmedBytes).toBeGreaterThanOrEqual(0);
      await reading.stop();
    });

    test("given before the stream has started is not forgotten", async () => {
      const source = await open();
      const reading = new Reading(source);
      await database.query("insert into orders values (1, 'a')");
      await reading.rows(1);
      await reading.stop();
      const before = await confirmed();
      const last = reading.last as Position;
      const again = new Reading(source, last);
      await source.acknowledge(reached(last));

      await waitFor(async () => (await confirmed()) !== before, { what: "the slot to move" });
      await again.stop();
    });

    test("refuses a place inside a transaction, and one that was not received", async () => {
      const source = await open();
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the marker");
      const beyond = "0001.00000000ffffffff.0000000000000000.a000000+" as Position;
      const inside = "0001.0000000000000001.0000000000000001.r000000" as Position;

      await expect(source.acknowledge(reached(beyond))).rejects.toMatchObject({ code: "ACKNOWLEDGED_TOO_FAR" });
      await expect(source.acknowledge(reached(inside))).rejects.toMatchObject({ code: "ACKNOWLEDGED_INSIDE" });
      await reading.stop();
    });

    test("keeps the connection while the reader is paused for longer than the server waits", async () => {
      const source = await open({ options: { timeout: "4s" } });
      const reading = new Reading(source);
      let resume: () => void = () => {};
      await reading.until(() => reading.events.length > 0, "the marker");
      const paused = new Promise<void>((resolve) => {
        resume = resolve;
      });
      reading.pauseUntil(paused);
      await database.query("insert into orders select g, repeat('x', 200) from generate_series(1, 100000) g");
      const [{ before } = { before: "" }] = await database.query<{ before: string }>("select now()::text as before");
      await waitFor(
        async () => (await database.query(`select 1 where now() > $1::timestamptz + '8 s'`, [before])).length > 0,
        { what: "twice the server's patience" },
      );
      const held = reading.messages.length;
      resume();
      await reading.rows(100_000);

      expect(held).toBeLessThan(20_000);
      expect(reading.bodies.at(-1)).toMatchObject({ key: { id: "100000" } });
      await reading.stop();
    });
  });

  describe("a restart", () => {
    test("at every place of a transaction goes on behind it with the same events", async () => {
      const source = await open();
      const whole = new Reading(source);
      await database.query("insert into orders values (1, 'a')");
      await database.query("insert into orders select g, 'b' from generate_series(2, 4) g");
      await database.query("update orders set id = 9 where id = 4");
      await whole.rows(6);
      await whole.stop();
      const events = whole.events;

      for (const [index, { position }] of events.entries()) {
        const again = new Reading(source, position);
        const rest = events.slice(index + 1);
        await again.until(() => again.events.length >= rest.length && again.messages.length > 0, "the rest");
        expect(again.events).toEqual(rest);
        await again.stop();
      }
    });

    test("between two adjacent commits loses neither", async () => {
      const source = await open();
      const reading = new Reading(source);
      const clients = await Promise.all([database.connect(), database.connect(), database.connect()]);
      for (let round = 0; round < 20; round++) {
        await Promise.all(
          clients.map((client, n) => client.query("insert into orders values ($1, 'x')", [round * 3 + n])),
        );
      }
      await Promise.all(clients.map((client) => client.end()));
      await reading.rows(60);
      await reading.stop();
      const rows = reading.events.slice(1);

      let from = rows[0]?.position;
      for (let seen = 1; seen < rows.length; seen++) {
        const next = new Reading(source, from);
        await next.rows(1);
        expect(next.events[0]).toEqual(rows[seen]);
        // Acknowledged at each step: the server must not skip the neighbour.
        await source.acknowledge(reached(rows[seen - 1]?.position as Position));
        await next.stop();
        from = next.events[0]?.position;
      }
    });

    test.each([
      ["a commit to a table that is not published", "insert into aside.hidden values (1)"],
      ["a message outside of transactions", "select pg_logical_emit_message(false, 'aside', 'x')"],
      ["a message inside the transaction", "begin; select pg_logical_emit_message(true, 'aside', 'x')"],
    ])("after %s loses nothing of what follows at the same LSN", async (_, before) => {
      await database.query("create schema aside; create table aside.hidden(v int)");
      let source = await open({ options: { timeout: "1s" } });
      let reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the marker");
      let from = reading.last;

      for (let id = 1; id <= 5; id++) {
        await database.query(before);
        const [{ lsn } = { lsn: "" }] = await database.query<{ lsn: string }>(
          "select pg_current_wal_insert_lsn()::text as lsn",
        );
        if (!before.startsWith("begin")) {
          await reading.until(async () => {
            await reading.acknowledge();
            return caughtUp(lsn);
          }, "the slot at the end of the log");
        }
        from = reading.last ?? from;
        await reading.stop();
        await database.query(`insert into orders values (${id}, 'x')${before.startsWith("begin") ? "; commit" : ""}`);
        source = await reopen(source, { options: { timeout: "1s" } });
        reading = new Reading(source, from);
        const [row] = await reading.rows(1);
        expect(row).toMatchObject({ key: { id: String(id) } });
        await reading.acknowledge();
        from = reading.last;
      }
      await reading.stop();
    });

    test("of the server is a TransientError, and nothing is lost over it", async () => {
      let source = await open();
      const reading = new Reading(source);
      await database.query("insert into orders values (1, 'a')");
      await reading.rows(1);
      await database.server.stop("immediate");

      expect(await reading.ended).toMatchObject({ name: "TransientError", code: "SOURCE_UNREACHABLE" });
      await source[Symbol.asyncDispose]();
      await database.server.restart();
      await database.query("insert into orders values (2, 'b')");
      source = await reopen(source);
      const again = new Reading(source, reading.last);
      expect(await again.rows(1)).toMatchObject([{ key: { id: "2" } }]);
      await again.stop();
    });

    test("ends the reading though the catalog that a new table is described by does not answer", async () => {
      const source = await open();
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the marker");
      const other = await database.connect();
      await other.query("begin; lock pg_catalog.pg_range in access exclusive mode"); // the log is decoded without it
      await database.query("insert into orders values (1, 'a')");
      const asks = "select from pg_locks where relation = 'pg_catalog.pg_range'::regclass and not granted";
      await waitFor(async () => (await database.query(asks)).length > 0, { what: "the catalog to be asked" });
      await database.query("select pg_terminate_backend(active_pid) from pg_replication_slots");

      expect(await reading.ended).toMatchObject({ message: expect.stringContaining("terminating connection") });
      await other.end();
    });

    test("takes the slot from a reader that was left behind", async () => {
      const zombie = await open();
      const left = new Reading(zombie);
      await left.until(() => left.events.length > 0, "the marker");
      const source = await open({ memory: zombie.memory });
      const reading = new Reading(source, left.last);
      // What it would still be sent could as well end it by the lease, which is lost by now.
      expect(await left.ended).toMatchObject({ name: "TransientError" });
      await database.query("insert into orders values (1, 'a')");

      await reading.rows(1);
      await reading.stop();
    });

    test("finds the slot free as soon as the source is disposed of", async () => {
      const source = await open();
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the marker");
      await source[Symbol.asyncDispose]();

      expect(await database.query("select active from pg_replication_slots")).toEqual([{ active: false }]);
      expect(await reading.ended).toMatchObject({ code: "SOURCE_CLOSED" });
    });
  });
});
