// `verify --tables`: the stream's account of which rows there are, held against the tables themselves.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { startWorker, type Worker } from "../../../../../src/app.ts";
import type { VerifyReport } from "../../../../../src/bus/jetstream/verify/verify-stream.ts";
import type { Position } from "../../../../../src/event/position.ts";
import { WHOLE } from "../../../../../src/event/positions.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { migrationSql } from "../../../../../src/outbox/migration-sql.ts";
import { openKeySnapshot } from "../../../../../src/source/postgres/commands/key-snapshot.ts";
import { parsePostgresConfig } from "../../../../../src/source/postgres/options/config.ts";
import { beganAfter, visibleIn } from "../../../../../src/source/postgres/reselect/snapshot-visibility.ts";
import { runCommand } from "../../../../support/process/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

test("a transaction is visible in a snapshot when it had ended before, also beyond 32 bits", () => {
  const visible = visibleIn("100:110:101,105");
  expect([99, 100, 101, 105, 109, 110].filter((id) => visible(String(id)))).toEqual([99, 100, 109]);

  const wrapped = visibleIn(`${2n ** 32n - 2n}:${2n ** 32n + 5n}:${2n ** 32n + 1n}`);
  expect(["4294967290", "0", "1", "4", "5"].filter(wrapped)).toEqual(["4294967290", "0", "4"]);
});

test("of two transactions the one that began later is known, also where their ids wrap", () => {
  expect([beganAfter("7", "6"), beganAfter("6", "7"), beganAfter("6", "6"), beganAfter("3", "4294967290")]).toEqual([
    true,
    false,
    false,
    true,
  ]);
});

/** A worker whose source reads. */
async function running(config: Parameters<typeof startWorker>[0], adopt: boolean): Promise<Worker> {
  const worker = await startWorker(config, { adopt });
  worker.finished.catch(() => {}); // the test would see it
  await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source" });
  return worker;
}

describe.skipIf(missing("postgres", "nats"))("the tables", () => {
  test("hold what the stream says; a row whose event was lost is told, and rows older than the stream are counted", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query(`
      create table orders(id int8 primary key, note text);
      create table "Odd, names"("b%" text, a timestamptz, primary key ("b%", a));
      create table emptied(id int primary key); create table docs(id jsonb primary key);
      create table keyless(note text); alter table keyless replica identity full;
      create table def(id int, v int, primary key (id) deferrable initially deferred); alter table def replica identity full;
      insert into orders select n, 'old' from generate_series(1, 3) n`);
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url } },
    };
    const worker = await startWorker(config);
    try {
      await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source" });
      await database.query(`
        insert into orders select n, 'new' from generate_series(10, 6010) n;
        insert into "Odd, names" values ('a,b%/ü', '2024-02-29 12:00:00.5+02'), ('', 'infinity');
        insert into docs values ('12345678901234567890'), ('12345678901234567891'), ('1'), ('"1"'), ('{"a": [1, "x, y"]}');
        insert into emptied values (1), (2);
        insert into def values (1, 1), (2, 2), (3, 3); update def set id = 4 - id; update def set id = id + 1;
        insert into keyless values ('x')`);
      await database.query("delete from orders where id in (2, 10, 11); update orders set id = 7000 where id = 12");
      await database.query("truncate emptied");
      await database.query("insert into emptied values (3)");

      const cwd = await scratchDir();
      await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
      const verify = (...args: string[]) => runCommand(["verify", "shop", "--tables", ...args], { cwd });
      const right = await verify("--json");
      expect(right).toMatchObject({ code: 0, stderr: "" });
      const counts = { lost: 0, gone: 0, unexpected: 0 };
      expect((JSON.parse(right.stdout) as VerifyReport).tables).toEqual(
        [
          { namespace: "public", collection: "Odd, names", rows: 2, inStream: 2, notInStream: 0, ...counts },
          { namespace: "public", collection: "def", rows: 3, inStream: 3, notInStream: 0, ...counts },
          { namespace: "public", collection: "docs", rows: 5, inStream: 5, notInStream: 0, ...counts },
          { namespace: "public", collection: "emptied", rows: 1, inStream: 1, notInStream: 0, ...counts },
          { namespace: "public", collection: "keyless", rows: undefined, inStream: 0, notInStream: 0, ...counts },
          { namespace: "public", collection: "orders", rows: 6001, inStream: 5999, notInStream: 2, ...counts },
        ].map((table) => JSON.parse(JSON.stringify(table))),
      );

      // What no decoder can see: the row goes without an event, as after a loss.
      await database.query("set session_replication_role = replica; alter publication millrace_shop drop table orders");
      await database.query("delete from orders where id = 20; insert into orders values (11, 'again')");
      await database.query("alter publication millrace_shop add table orders");
      const wrong = await verify();
      expect(wrong.code).toBe(3);
      expect(wrong.stdout).toMatch(
        /\n {2}public\.orders: 6001 rows, 5998 in the stream, 2 older than it, 1 gone, 1 unexpected\n/,
      );
      expect(wrong.stdout).toMatch(/\n#\d+ ROW_GONE: /);
      expect(wrong.stdout).toMatch(/\n#\d+ ROW_UNEXPECTED: /);
      expect(await verify("--from", "3")).toMatchObject({ code: 2, stderr: expect.stringContaining("VERIFY_RANGE") });
    } finally {
      await worker.stop();
    }
  });

  test("that lost rows in a recorded gap are told by the gap and their number; what is older than the stream is not among them", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query(
      "create table orders(id int primary key); create table other(id int primary key); insert into orders values (1), (2)",
    );
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url } },
    };
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const first = await running(config, false);
    await database.query("insert into orders values (3)");
    await waitFor(() => first.status().sources[0]?.published === 1, { what: "the event" });
    await first.stop();
    await database.query("select pg_drop_replication_slot('millrace_shop')");
    await database.query("insert into orders select generate_series(100, 1299)");
    const second = await running(config, true);
    try {
      await database.query("insert into orders values (4); insert into other values (1)");
      const { code, stdout } = await runCommand(["verify", "shop", "--tables"], { cwd });

      expect(code).toBe(3);
      expect(stdout).toMatch(
        /\n {2}public\.orders: 1204 rows, 2 in the stream, 2 older than it, 1200 that a gap has taken\n {2}public\.other: 1 rows, 1 in the stream, 0 older than it\n/,
      );
      expect(stdout).toMatch(
        /\n#\d+ ROWS_LOST: 1200 rows of public\.orders without an event, written after the last event before the gap from \S+ to \S+\n {2}means: .+\n {2}fix: .+/,
      );
    } finally {
      await second.stop();
    }
    await database.query("insert into orders values (5)");
    const unread = await runCommand(["verify", "shop", "--tables"], { cwd });
    expect(unread).toMatchObject({ code: 1, stderr: expect.stringContaining("no worker reads it") });
  });

  test("of an idle source are compared within seconds though the bus syncs every two minutes; what the role may not read is told at once", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key); insert into orders values (1)");
    const sources = { shop: { kind: "postgres", url: database.url } };
    const cwd = await scratchDir();
    const configure = (url: string): Promise<void> =>
      writeFile(
        join(cwd, "millrace.config.json"),
        JSON.stringify({ bus: { servers: nats.url }, sources: { shop: { kind: "postgres", url } } }),
      );
    await configure(database.url);
    const worker = await startWorker({ bus: { servers: nats.url }, sources }, { timing: { lagEveryMs: 500 } });
    try {
      await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source" });
      await database.query("insert into orders values (2)");
      expect(await runCommand(["verify", "shop", "--tables"], { cwd })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining("public.orders: 2 rows, 1 in the stream, 1 older than it"),
      });
      expect(worker.status().sources[0]?.acknowledged).toBe(0);

      await database.query("drop role if exists verify_reader; create role verify_reader login");
      await configure(database.url.replace("//postgres@", "//verify_reader@"));
      const refused = await runCommand(["verify", "shop", "--tables"], { cwd });
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("PERMISSION_MISSING");
      expect(refused.stderr).toContain('GRANT SELECT ON "public"."orders" TO verify_reader;');
      await database.query(
        "grant select on orders to verify_reader; alter table orders enable row level security; grant usage on schema public to verify_reader",
      );
      const hidden = await runCommand(["verify", "shop", "--tables"], { cwd });
      expect(hidden.stderr).toContain("BYPASSRLS");
    } finally {
      await worker.stop();
      await database.query("drop owned by verify_reader; drop role verify_reader");
    }
  });

  test("are compared as events tell of them: what the publication keeps back, or the source does not read, is no loss", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query(`
      create table filtered(id int primary key, open bool); alter table filtered replica identity full;
      create table hashed(id text primary key);
      create table unread(id int primary key);
      ${migrationSql("outbox")}
      create publication millrace_shop for table filtered where (open), hashed, unread, millrace.outbox
        with (publish_via_partition_root)`);
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: {
        shop: {
          kind: "postgres",
          url: database.url,
          maskKey: { env: "VERIFY_MASK_KEY" },
          outbox: true,
          tables: [
            { match: "public.filtered", where: "open" },
            { match: "public.hashed", mask: { id: "hash" } },
          ],
        },
      },
    };
    vi.stubEnv("VERIFY_MASK_KEY", "a-key-of-the-test");
    const cwd = await scratchDir();
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const first = await running(config, false);
    await database.query(
      "insert into filtered values (1, true), (2, true), (3, false); insert into hashed values ('a')",
    );
    await waitFor(() => first.status().sources[0]?.published === 3, { what: "the events" });
    await first.stop();
    await database.query("select pg_drop_replication_slot('millrace_shop')");
    const second = await running(config, true);
    try {
      await database.query(`
        update filtered set open = false where id = 2; insert into filtered values (4, false);
        insert into hashed values ('b'); insert into unread values (1);
        insert into millrace.outbox(aggregatetype, aggregateid, type, payload) values ('order', '1', 'order.placed', '{}')`);
      const { code, stdout } = await runCommand(["verify", "shop", "--tables", "--json"], { cwd });
      const { tables, findings } = JSON.parse(stdout) as VerifyReport;
      expect({ code, findings }).toEqual({ code: 0, findings: [] });
      expect(tables?.map(({ collection, rows, inStream }) => ({ collection, rows, inStream }))).toEqual([
        { collection: "filtered", rows: 1, inStream: 1 },
        { collection: "hashed", rows: 2, inStream: 2 },
      ]);

      // Of a cluster before this one, which had counted further.
      const earlier = { position: "0001.0000000001b9c5ef.0000000000000000.a000000+", transaction: "2000000000" };
      const stored = async () => new Map([[WHOLE, "0002.ffffffffffffffff.0000000000000000.a000000+" as Position]]);
      const wait = { stored, reachWithinMs: 60_000, onWaiting: () => {}, signal: new AbortController().signal };
      const { tables: items, url } = config.sources.shop;
      const parsed = parsePostgresConfig({ url, tables: items, maskKey: "a-key-of-the-test" }, "sources.shop");
      await using held = await openKeySnapshot("shop" as SourceId, parsed, wait);
      expect(held.includes(earlier)).toBe(true);
      expect(held.includes({ ...earlier, position: earlier.position.replace("0001", "0002") })).toBe(false);
    } finally {
      await second.stop();
    }
  });
});
