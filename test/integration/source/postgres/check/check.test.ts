// `millrace check` of a real Postgres: each precondition is broken, the finding is seen, its SQL is run, and it is gone.
// Here those of the database and the role; those of the server are in check-server.test.ts.

import { describe, expect, test } from "vitest";
import { migrationSql } from "../../../../../src/outbox/migration-sql.ts";
import { sqlOf } from "../../../../../src/telemetry/finding.ts";
import { findingsOf, runFix, wrong } from "../../../../support/postgres/findings.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { failureOf, openShop, Reading, type TestSource } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";

const PARTS = [
  "create table parts(id int primary key, other int not null, body text) partition by range (id)",
  "create table parts_0 partition of parts for values from (-9) to (0) partition by range (id)",
  "create table parts_1 partition of parts_0 for values from (-9) to (0)",
  "create table parts_2 partition of parts for values from (0) to (9)",
].join("; ");

describe.skipIf(missing("postgres"))("checking a Postgres source", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text)");
  const as = (role: string): string => fixture.database.url.replace("postgres@", `${role}@`);
  const leastRole = async (): Promise<string> => {
    await fixture.database.query("drop role if exists least; create role least login replication");
    return as("least");
  };

  test("a server as it should be has nothing wrong but its unbounded log, and is not changed", async () => {
    const state = `select (select count(*)::int from pg_publication) + (select count(*)::int from pg_replication_slots) as n`;
    const found = await findingsOf(fixture.database.url);

    expect(found.filter(({ level }) => level !== "ok")).toEqual([expect.objectContaining({ code: "SLOT_WAL_LIMIT" })]);
    expect(found.map(({ code }) => code)).toEqual(
      expect.arrayContaining([
        "SERVER_TOO_OLD",
        "PUBLICATION_MISSING",
        "TABLE",
        "REPLICATION_CONNECTION",
        "CLOCK_SKEW",
      ]),
    );
    expect(await fixture.value(state)).toBe(0);
  });

  describe("of a database", () => {
    test.each<readonly [code: string, level: string, breaking: string]>([
      ["TABLE_WITHOUT_IDENTITY", "fail", "create table bad(id int)"],
      [
        "TABLE_WITHOUT_IDENTITY",
        "fail",
        `create table "Odd ""one"(id int primary key); alter table "Odd ""one" replica identity nothing`,
      ],
      [
        "TABLE_WITHOUT_IDENTITY",
        "fail",
        "create table bad(id int) partition by range (id); alter table bad replica identity full; create table bad_1 partition of bad for values from (0) to (9)",
      ],
      [
        "TOAST_LEFT_OUT",
        "warn",
        "create table docs(id int primary key, body text); alter table docs alter body set storage external; insert into docs values (1, repeat('x', 9000))",
      ],
      [
        "TOAST_LEFT_OUT",
        "warn",
        "create table docs(id int, body text, primary key (id) include (body)); alter table docs alter body set storage external; insert into docs values (1, repeat('x', 2400))",
      ],
      [
        "TOAST_LEFT_OUT",
        "warn",
        `${PARTS}; alter table parts alter body set storage external; alter table parts_1 alter body set storage external; insert into parts values (1, 1, repeat('x', 9000))`,
      ],
      ["PARTITION_IDENTITY", "warn", `${PARTS}; alter table parts replica identity full`],
      ["PARTITION_IDENTITY", "warn", `${PARTS}; alter table parts_1 replica identity full`],
      [
        "PARTITION_IDENTITY",
        "fail",
        `${PARTS}; create unique index by_other on parts(other, id); alter table parts replica identity using index by_other`,
      ],
      [
        "PUBLICATION_LACKS_TABLES",
        "fail",
        "create table other(id int primary key); create publication millrace_shop for table other",
      ],
      ["PUBLICATION_LACKS_OPS", "warn", "create publication millrace_shop for table orders with (publish = 'insert')"],
      [
        "PUBLICATION_OF_PARTITIONS",
        "fail",
        "create table parts(id int primary key) partition by range (id); create publication millrace_shop for table orders, parts",
      ],
      ["ROW_FILTER_OFF_KEY", "fail", "create publication millrace_shop for table orders where (status <> 'x')"],
      ["ROW_FILTER_OFF_KEY", "fail", "create publication millrace_shop for table orders (id) where (status <> 'x')"],
      ["COLUMN_LIST_LACKS_KEY", "fail", "create publication millrace_shop for table orders (status) where (id > 7)"],
      [
        "GENERATED_LEFT_OUT",
        "warn",
        "alter table orders add twice int generated always as (id * 2) stored; create publication millrace_shop for table orders",
      ],
      ["TABLE_NOT_LOGGED", "warn", "create unlogged table scratch(id int primary key)"],
      [
        "PUBLICATION_YOUNGER",
        "warn",
        "select pg_create_logical_replication_slot('millrace_shop', 'pgoutput'); create publication millrace_shop for table orders",
      ],
    ])("%s (%s): its SQL mends it: %s", async (code, level, breaking) => {
      await fixture.database.query(breaking);

      const [finding] = await wrong(fixture.database.url, code);
      expect(finding).toMatchObject({ code, level });
      await runFix(fixture.database, finding?.fix);
      expect(await wrong(fixture.database.url, code)).toEqual([]);
    });

    test.each<readonly [code: string, breaking: string, mending: string]>([
      [
        "TABLE_WITHOUT_KEY",
        "create table plain(id int not null); alter table plain replica identity full",
        "alter table plain add primary key (id)",
      ],
      [
        "PARTITIONS_TO_COME",
        "create table parts(id int not null) partition by range (id); alter table parts replica identity full; create table parts_1 partition of parts for values from (0) to (9); alter table parts_1 replica identity full",
        "alter table parts add primary key (id)",
      ],
      [
        "KEY_DEFERRABLE",
        "create table swaps(id int primary key deferrable); alter table swaps replica identity full",
        "alter table swaps drop constraint swaps_pkey, add primary key (id)",
      ],
      [
        "KEY_DEFERRABLE",
        "create table swaps(id int, part int, primary key (id, part) deferrable initially deferred) partition by list (part); create table swaps_1 partition of swaps for values in (1); alter table swaps replica identity full; alter table swaps_1 replica identity full",
        "alter table swaps drop constraint swaps_pkey, add primary key (id, part)",
      ],
      [
        "GENERATED_LEFT_OUT",
        "alter table orders add twice int generated always as (id * 2) virtual",
        "alter table orders drop column twice",
      ],
    ])("%s warns until it is changed", async (code, breaking, mending) => {
      await fixture.database.query(breaking);
      expect(await wrong(fixture.database.url, code)).toEqual([expect.objectContaining({ level: "warn" })]);

      await fixture.database.query(mending);
      expect(await wrong(fixture.database.url, code)).toEqual([]);
    });

    test("partitions of whose rows the log would hold no key stop a first start, and a later one goes on and says so", async () => {
      const source = await fixture.open();
      await fixture.database.query(`${PARTS}; create unique index by_other on parts(other, id);
        alter table parts replica identity using index by_other`);
      const said = ({ logged }: TestSource): readonly unknown[] =>
        logged.filter(({ event }) => event === "source_notice");

      const first = fixture.open({ options: { slot: "another", publication: "another" } });
      await expect(first).rejects.toMatchObject({ name: "ConfigError", code: "PARTITION_IDENTITY" });
      const text = expect.stringContaining("public.parts_1, public.parts_2");
      expect(said(await fixture.reopen(source))).toEqual([expect.objectContaining({ text })]);
    });

    test.each([
      ["has the table without one", "create publication millrace_shop for table orders"],
      ["lacks the table", "create table other(id int primary key); create publication millrace_shop for table other"],
    ])("a row filter that another's publication %s: run starts after the printed SQL", async (_, breaking) => {
      await fixture.database.query(breaking);
      const options = { tables: [{ match: "public.orders", where: "id < 10" }] };

      const failed = (await findingsOf(fixture.database.url, options)).filter(({ level }) => level === "fail");
      expect(failed).toHaveLength(1);
      await expect(fixture.open({ options })).rejects.toMatchObject({ code: failed[0]?.code, hint: failed[0]?.fix });
      await runFix(fixture.database, failed[0]?.fix);
      await fixture.open({ options });
    });

    test("a row filter that a publication for all tables cannot have", async () => {
      await fixture.database.query("create publication millrace_shop for all tables");
      const options = { tables: [{ match: "public.orders", where: "id < 10" }] };

      expect(await wrong(fixture.database.url, "ROW_FILTER_REFUSED", options)).toHaveLength(1);
      expect(await wrong(fixture.database.url, "ROW_FILTER_REFUSED", { tables: ["public.orders"] })).toEqual([]);
    });

    test("no SQL is printed that publishes a table whose rows cannot be told apart", async () => {
      await fixture.database.query("create table bad(id int); create publication millrace_shop for table orders");

      const found = await findingsOf(fixture.database.url);
      expect(found.filter(({ level }) => level === "fail").map(({ code }) => code)).toEqual(["TABLE_WITHOUT_IDENTITY"]);
    });

    test("of the worker's own publication nothing is wrong that it mends by itself", async () => {
      await fixture.open();
      await fixture.database.query(`alter table orders add twice int generated always as (id * 2) stored;
        alter publication millrace_shop set (publish = 'insert', publish_generated_columns = none)`);

      const found = await findingsOf(fixture.database.url);
      const ours = found.filter(({ code, level }) => /^PUBLICATION|^GENERATED/.test(code) && level !== "ok");
      expect(ours).toEqual([]);
    });

    test("a publication that was altered, and not made anew, is not younger than the slot", async () => {
      await fixture.database.query("create publication millrace_shop for table orders");
      await fixture.database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
      await fixture.database.query("alter publication millrace_shop set (publish_via_partition_root = true)");

      expect(await wrong(fixture.database.url, "PUBLICATION_YOUNGER")).toEqual([]);
    });

    test.each<readonly [code: string, breaking: string]>([
      ["RESELECT_NOT_GRANTED", "grant select (id) on docs to least"],
      [
        "RESELECT_NOT_GRANTED",
        "create schema apart; alter table docs set schema apart; grant select on apart.docs to least",
      ],
      [
        "RESELECT_NOT_GRANTED",
        "create schema apart; create type apart.kind as enum ('a'); alter table docs alter id type apart.kind using 'a'; grant select on docs to least",
      ],
      ["RESELECT_ROW_SECURITY", "grant select on docs to least; alter table docs enable row level security"],
    ])("%s refuses the start, and its SQL mends it: %s", async (code, breaking) => {
      const options = { tables: [{ match: "*.docs", toast: "reselect" }] };
      const url = await leastRole();
      await fixture.database.query("create table docs(id int primary key, body text, at timestamptz)");
      await fixture.database.query("create publication millrace_shop for table docs");
      await fixture.database.query(breaking);

      const [finding] = await wrong(url, code, options);
      expect(finding).toMatchObject({ level: "fail" });
      expect(await failureOf(openShop(url, { options }))).toMatchObject({ name: "ConfigError", code });
      await runFix(fixture.database, finding?.fix);
      expect(await wrong(url, code, options)).toEqual([]);
      await (await openShop(url, { options }))[Symbol.asyncDispose]();
    });

    test("RESELECT_WITHOUT_KEY refuses the start: rows are looked up by their key", async () => {
      const options = { tables: [{ match: "public.docs", toast: "reselect" }] };
      await fixture.database.query(
        "create table docs(id int not null, body text); alter table docs replica identity full",
      );
      const code = "RESELECT_WITHOUT_KEY";
      expect(await wrong(fixture.database.url, code, options)).toMatchObject([{ level: "fail" }]);
      expect(await failureOf(fixture.open({ options }))).toMatchObject({ name: "ConfigError", code });

      await fixture.database.query("alter table docs add primary key (id)");
      expect(await wrong(fixture.database.url, code, options)).toEqual([]);
    });

    test("KEY_DEFERRABLE is not said where another identity holds: no two rows have one key there", async () => {
      await fixture.database.query("create table swaps(id int primary key deferrable, other int not null unique)");
      await fixture.database.query("alter table swaps replica identity using index swaps_other_key");

      expect(await wrong(fixture.database.url, "KEY_DEFERRABLE")).toEqual([]);
    });

    test("TOAST_LEFT_OUT is not said of a table whose values are asked for", async () => {
      await fixture.database.query("create table docs(id int primary key, body text)");
      await fixture.database.query("alter table docs alter body set storage external");
      await fixture.database.query("insert into docs values (1, repeat('x', 9000))");

      expect(await wrong(fixture.database.url, "TOAST_LEFT_OUT")).toHaveLength(1);
      const tables = [{ match: "public.docs", toast: "reselect" }];
      expect(await wrong(fixture.database.url, "TOAST_LEFT_OUT", { tables })).toEqual([]);
    });

    test("TOAST_LEFT_OUT of a table with a virtual column leads to nothing that has its updates refused", async () => {
      await fixture.database.query(`create table docs(id int primary key, body text, twice int generated always as (id * 2) virtual);
        alter table docs alter body set storage external; insert into docs values (1, repeat('x', 9000))`);
      const [finding] = await wrong(fixture.database.url, "TOAST_LEFT_OUT");

      expect(sqlOf(finding?.fix)).toEqual([]);
      expect(finding?.fix).toContain('Set toast: "reselect"');
    });

    test("the application's own updates really fail where check says so, and work after its SQL", async () => {
      await fixture.database.query("insert into orders values (1, 'new')");
      await fixture.database.query("create publication millrace_shop for table orders (status)");
      const update = (): Promise<unknown> => fixture.database.query("update orders set status = 'old'");
      await expect(update()).rejects.toThrow(/cannot update table/);

      await runFix(fixture.database, (await wrong(fixture.database.url, "COLUMN_LIST_LACKS_KEY"))[0]?.fix);
      await update();
    });

    test("a pattern that matches no table", async () => {
      const options = { tables: ["public.*", "sales.*"] };
      expect(await wrong(fixture.database.url, "TABLES_MATCH_NOTHING", options)).toHaveLength(1);

      await fixture.database.query("create schema sales; create table sales.orders(id int primary key)");
      expect(await wrong(fixture.database.url, "TABLES_MATCH_NOTHING", options)).toEqual([]);
    });

    test("a database whose texts have no encoding", async () => {
      await fixture.database.query("drop database if exists unencoded");
      await fixture.database.query("create database unencoded encoding 'SQL_ASCII' locale 'C' template template0");

      const url = fixture.database.url.replace(/test_\d+$/, "unencoded");
      expect(await wrong(url, "ENCODING_UNKNOWN")).toEqual([expect.objectContaining({ level: "fail" })]);
      await fixture.database.query("drop database unencoded; ");
      await fixture.database.query("create database unencoded encoding 'UTF8' locale 'C' template template0");
      expect(await wrong(url, "ENCODING_UNKNOWN")).toEqual([]);
    });

    test("a foreign table is another server's", async () => {
      await fixture.database.query(
        "create foreign data wrapper nothing; create server elsewhere foreign data wrapper nothing; create foreign table far(id int) server elsewhere",
      );
      expect(await wrong(fixture.database.url, "TABLE_NOT_LOGGED")).toEqual([
        expect.objectContaining({ level: "warn", subject: "table public.far" }),
      ]);

      const options = { tables: ["public.*", "!public.far"] };
      expect(await wrong(fixture.database.url, "TABLE_NOT_LOGGED", options)).toEqual([]);
    });

    test("rows that are hidden from others and leave all the same, until it is said which of them may", async () => {
      await fixture.database.query("alter table orders enable row level security");
      const where = { tables: [{ match: "public.orders", where: "id < 10" }] };

      expect(await wrong(fixture.database.url, "ROW_SECURITY_IGNORED")).toMatchObject([{ level: "warn" }]);
      expect(await wrong(fixture.database.url, "ROW_SECURITY_IGNORED", where)).toEqual([]);
    });

    test("options of tables that do not fit them: a column that is not there, and a key that is hidden", async () => {
      const { url } = fixture.database;
      const columns = (exclude: readonly string[]): Record<string, unknown> => ({
        tables: [{ match: "public.orders", columns: { exclude } }],
      });

      expect(await wrong(url, "TABLE_COLUMN_UNKNOWN", columns(["note"]))).toMatchObject([{ level: "fail" }]);
      await fixture.database.query("alter table orders add note text");
      expect(await wrong(url, "TABLE_COLUMN_UNKNOWN", columns(["note"]))).toEqual([]);
      expect(await wrong(url, "TABLE_KEY_HIDDEN", columns(["id"]))).toMatchObject([{ level: "fail" }]);
      await fixture.database.query("alter table orders drop constraint orders_pkey, add primary key (status)");
      expect(await wrong(url, "TABLE_KEY_HIDDEN", columns(["id"]))).toEqual([]);
    });

    test("an outbox that is not there, until the printed migration has made it", async () => {
      expect(await wrong(fixture.database.url, "OUTBOX_MISSING", { outbox: true })).toMatchObject([{ level: "fail" }]);
      await fixture.database.query(migrationSql("outbox"));
      expect(await wrong(fixture.database.url, "OUTBOX_MISSING", { outbox: true })).toEqual([]);
    });

    test("a short timeout", async () => {
      expect(await wrong(fixture.database.url, "TIMEOUT_SHORT", { timeout: "5s" })).toHaveLength(1);
      expect(await wrong(fixture.database.url, "TIMEOUT_SHORT", { timeout: "10s" })).toEqual([]);
    });
  });

  describe("with the least role", () => {
    test("all of it can be asked; a missing publication is for the owner to make, and then nothing fails", async () => {
      const url = await leastRole();

      const [finding] = await wrong(url, "PUBLICATION_MISSING");
      await runFix(fixture.database, finding?.fix);
      expect((await findingsOf(url)).filter(({ level }) => level === "fail")).toEqual([]);
      expect(await fixture.value("select pubviaroot from pg_publication where pubname = 'millrace_shop'")).toBe(true);
    });

    test("tables of schemas that it may not use, an outbox among them: check and start need no right on them", async () => {
      const url = await leastRole();
      await fixture.database.query(`create schema sales; create table sales.orders(id int primary key);
        ${migrationSql("outbox")}`);
      const options = { tables: ["*.*"], outbox: true };
      await runFix(fixture.database, (await wrong(url, "PUBLICATION_MISSING", options))[0]?.fix);

      expect((await findingsOf(url, options)).filter(({ level }) => level === "fail")).toEqual([]);
      await using source = await openShop(url, { options });
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the first marker");
      await fixture.database.query("insert into sales.orders values (7)");
      expect(await reading.rows(1)).toHaveLength(1);
      await reading.stop();
    });

    test("a role that may not replicate", async () => {
      await fixture.database.query('drop role if exists "The Reader"; create role "The Reader" login');
      const url = as("The%20Reader");

      const [finding] = await wrong(url, "ROLE_NOT_REPLICATION");
      await runFix(fixture.database, finding?.fix);
      expect(await wrong(url, "ROLE_NOT_REPLICATION")).toEqual([]);
    });

    test("a right that it needs and everybody has by default", async () => {
      const url = await leastRole();
      await fixture.database.query("revoke execute on function pg_control_system() from public");

      expect(await wrong(url, "PERMISSION_MISSING")).toMatchObject([
        { level: "fail", message: expect.stringContaining("pg_control_system") },
      ]);
      await fixture.database.query("grant execute on function pg_control_system() to least");
      expect(await wrong(url, "PERMISSION_MISSING")).toEqual([]);
      await fixture.database.query("drop owned by least");
    });

    test("transactions whose age it may not see", async () => {
      const url = await leastRole();
      const writer = await fixture.database.connect();
      try {
        await writer.query("begin; insert into orders values (1)");
        const [finding] = await wrong(url, "TRANSACTIONS_HIDDEN");
        await runFix(fixture.database, finding?.fix);
        expect(await wrong(url, "TRANSACTIONS_HIDDEN")).toEqual([]);
      } finally {
        await writer.end();
      }
    });
  });
});
