// `millrace check` of a real Postgres: each precondition is broken, the finding is seen, its SQL is run, and it is gone.

import { Client, type ClientConfig } from "pg";
import { describe, expect, test } from "vitest";
import { freePort } from "../../src/dev/free-port.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { checkPostgres } from "../../src/source/postgres/check.ts";
import { readTransactions, transactionFindings } from "../../src/source/postgres/check-transactions.ts";
import { parsePostgresConfig } from "../../src/source/postgres/config.ts";
import { Session } from "../../src/source/postgres/session.ts";
import type { Finding } from "../../src/telemetry/finding.ts";
import { postgresFixture } from "../support/postgres-fixture.ts";
import { type Database, freshDatabase, freshPostgres, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const SHOP = "shop" as SourceId;

async function findingsOf(url: string, options: Record<string, unknown> = {}): Promise<readonly Finding[]> {
  const config = parsePostgresConfig({ url, ...options }, "sources.shop");
  const findings: Finding[] = [];
  for await (const finding of checkPostgres(SHOP, config, new AbortController().signal)) findings.push(finding);
  return findings;
}

async function wrong(url: string, code: string, options?: Record<string, unknown>): Promise<readonly Finding[]> {
  return (await findingsOf(url, options)).filter((finding) => finding.code === code && finding.level !== "ok");
}

/** The printed SQL, line by line, as an administrator runs it. */
async function run(database: Database, fix: string | undefined): Promise<void> {
  for (const line of (fix ?? "").split("\n")) {
    expect(line).toMatch(/;( --.*)?$/);
    await database.query(line);
  }
}

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
    ])("%s (%s): its SQL mends it: %s", async (code, level, breaking) => {
      await fixture.database.query(breaking);

      const [finding] = await wrong(fixture.database.url, code);
      expect(finding).toMatchObject({ code, level });
      await run(fixture.database, finding?.fix);
      expect(await wrong(fixture.database.url, code)).toEqual([]);
    });

    test.each<readonly [code: string, breaking: string, mending: string]>([
      [
        "TABLE_WITHOUT_KEY",
        "create table plain(id int not null); alter table plain replica identity full",
        "alter table plain add primary key (id)",
      ],
      [
        "ROW_SECURITY_IGNORED",
        "alter table orders enable row level security",
        "alter table orders disable row level security",
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

    test("the application's own updates really fail where check says so, and work after its SQL", async () => {
      await fixture.database.query("insert into orders values (1, 'new')");
      await fixture.database.query("create publication millrace_shop for table orders (status)");
      const update = (): Promise<unknown> => fixture.database.query("update orders set status = 'old'");
      await expect(update()).rejects.toThrow(/cannot update table/);

      await run(fixture.database, (await wrong(fixture.database.url, "COLUMN_LIST_LACKS_KEY"))[0]?.fix);
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

      expect(await wrong(fixture.database.url.replace(/test_\d+$/, "unencoded"), "ENCODING_UNKNOWN")).toHaveLength(1);
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
      await run(fixture.database, finding?.fix);
      expect((await findingsOf(url)).filter(({ level }) => level === "fail")).toEqual([]);
      expect(await fixture.value("select pubviaroot from pg_publication where pubname = 'millrace_shop'")).toBe(true);
    });

    test("a role that may not replicate", async () => {
      await fixture.database.query('drop role if exists "The Reader"; create role "The Reader" login');
      const url = as("The%20Reader");

      const [finding] = await wrong(url, "ROLE_NOT_REPLICATION");
      await run(fixture.database, finding?.fix);
      expect(await wrong(url, "ROLE_NOT_REPLICATION")).toEqual([]);
    });

    test("transactions whose age it may not see", async () => {
      const url = await leastRole();
      const writer = await fixture.database.connect();
      try {
        await writer.query("begin; insert into orders values (1)");
        const [finding] = await wrong(url, "TRANSACTIONS_HIDDEN");
        await run(fixture.database, finding?.fix);
        expect(await wrong(url, "TRANSACTIONS_HIDDEN")).toEqual([]);
      } finally {
        await writer.end();
      }
    });
  });

  describe("of the cluster", () => {
    test("a long transaction and a prepared one: both hold the log", async () => {
      const server = await freshPostgres({ max_prepared_transactions: "2" });
      await using database = await freshDatabase(server);
      const writer = await database.connect();
      await database.query("create table t(id int)");
      await writer.query("begin; insert into t values (1)");
      await database.query("begin; insert into t values (2); prepare transaction 'it''s'");
      await using session = new Session({ connectionString: database.url });
      const found = async (): Promise<readonly Finding[]> =>
        transactionFindings(await readTransactions(session), 0, "postgres").filter(({ level }) => level !== "ok");

      const findings = await found();
      expect(findings.map(({ code }) => code).sort()).toEqual(["TRANSACTION_OLD", "TRANSACTION_PREPARED"]);
      for (const { fix } of findings) await run(database, fix);
      expect(await found()).toEqual([]);
      await writer.end().catch(() => {}); // it was ended by the fix
    });

    test("a neighbour's dead slot, and a slot of ours that cannot serve", async () => {
      const { database } = fixture;
      await database.query("select pg_create_logical_replication_slot('neighbour', 'pgoutput')");
      await database.query("select pg_create_logical_replication_slot('millrace_shop', 'test_decoding')");

      const [dead] = await wrong(database.url, "SLOT_DEAD");
      expect(dead).toMatchObject({ subject: "slot neighbour", message: expect.stringContaining("MB of log") });
      await run(database, dead?.fix);
      expect(await wrong(database.url, "SLOT_DEAD")).toEqual([]);
      expect(await wrong(database.url, "SLOT_WRONG_PLUGIN")).toHaveLength(1);
      await database.query("select pg_drop_replication_slot('millrace_shop')");
      expect(await wrong(database.url, "SLOT_WRONG_PLUGIN")).toEqual([]);
    });

    test("a publication that is gone while the slot is there", async () => {
      await fixture.database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");

      expect(await wrong(fixture.database.url, "PUBLICATION_MISSING")).toEqual([
        expect.objectContaining({ level: "fail", message: expect.stringContaining("cannot be had again") }),
      ]);
    });
  });

  test("settings that take a restart: a server started with the printed ones has no finding", async () => {
    const broken = { wal_level: "replica", max_replication_slots: "1", max_wal_senders: "1" };
    const codes = ["SLOTS_EXHAUSTED", "WALSENDERS_EXHAUSTED", "WAL_LEVEL_NOT_LOGICAL"];
    const found = async (settings: Readonly<Record<string, string>>): Promise<readonly Finding[]> => {
      const server = await freshPostgres(settings);
      await using database = await freshDatabase(server);
      await database.query("create table orders(id int primary key)");
      await database.query("select pg_create_physical_replication_slot('standby')");
      const config = { connectionString: database.url, replication: "database" };
      const walsender = new Client(config as ClientConfig);
      await walsender.connect();
      const findings = (await findingsOf(database.url)).filter(
        ({ code, level }) => codes.includes(code) && level !== "ok",
      );
      for (const { fix } of findings) await run(database, fix); // taken by the server, in force only from a restart on
      await walsender.end();
      return findings;
    };

    const findings = await found(broken);
    expect(findings.map(({ code }) => code).sort()).toEqual(codes);
    const printed = findings.map(({ fix }) => /^ALTER SYSTEM SET (\w+) = '?(\w+)'?;/.exec(fix ?? "")?.slice(1));
    expect(await found({ ...broken, ...Object.fromEntries(printed as [string, string][]) })).toEqual([]);
  });

  test.each([
    ["SLOT_WAL_LIMIT", "max_slot_wal_keep_size = -1", "disk is full"],
    ["SLOT_WAL_LIMIT", "max_slot_wal_keep_size = '64MB'", "64 MB"],
    ["SLOT_IDLE_TIMEOUT", "idle_replication_slot_timeout = '90s'", "90 s"],
  ])("%s: %s", async (code, setting, says) => {
    const { database } = fixture;
    await database.query(`alter system set ${setting}`);
    await database.query("select pg_reload_conf()");
    const soon = (found: boolean): Promise<Finding | undefined> =>
      waitFor(
        async () => {
          const [finding] = await wrong(database.url, code);
          expect(finding !== undefined).toBe(found);
          return [finding];
        },
        { what: `${code} to be ${found ? "found" : "gone"}` },
      ).then(([finding]) => finding);
    try {
      const finding = await soon(true);
      expect(finding).toMatchObject({ level: "warn", message: expect.stringContaining(says) });
      await run(database, finding?.fix);
      await soon(false);
    } finally {
      await database.query(`alter system reset ${setting.split(" ")[0]}`);
      await database.query("select pg_reload_conf()");
    }
  });

  test("a server that does not answer, a wrong database: one finding with the code that run ends with", async () => {
    const away = await findingsOf(`postgres://postgres@127.0.0.1:${await freePort()}/x`);
    const nowhere = await findingsOf(fixture.database.url.replace(/test_\d+$/, "nowhere"));

    expect(away.filter(({ level }) => level === "fail")).toEqual([
      expect.objectContaining({ code: "SOURCE_UNREACHABLE" }),
    ]);
    expect(nowhere.filter(({ level }) => level === "fail")).toEqual([
      expect.objectContaining({ code: "DATABASE_MISSING" }),
    ]);
  });
});
