// `millrace check` of a real Postgres: what is broken about the server, its slots and the way to it is seen, mended, and gone.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, type ClientConfig } from "pg";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { freePort } from "../../../../../src/dev/free-port.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import type { CheckContext } from "../../../../../src/source/connector.ts";
import { Session } from "../../../../../src/source/postgres/client/session.ts";
import { SlotReporter } from "../../../../../src/source/postgres/commands/slots.ts";
import { createSlot } from "../../../../../src/source/postgres/slot/slot.ts";
import type { Finding } from "../../../../../src/telemetry/finding.ts";
import { ANY_AGE, findingsOf, runFix, wrong } from "../../../../support/postgres/findings.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { failureOf } from "../../../../support/postgres/reader.ts";
import { freshDatabase, freshPostgres, missing } from "../../../../support/servers.ts";
import { TcpProxy } from "../../../../support/tcp-proxy.ts";
import { waitFor } from "../../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("checking the server of a Postgres source", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text)");

  describe("of the cluster", () => {
    test("a long transaction and a prepared one: both hold the log", async () => {
      const server = await freshPostgres({ max_prepared_transactions: "2", autovacuum: "off" }); // a vacuum writes as well
      await using database = await freshDatabase(server);
      const writer = await database.connect();
      await database.query("create table t(id int primary key)");
      await writer.query("begin; insert into t values (1)");
      const [process] = (await writer.query<{ pid: number }>("select pg_backend_pid() as pid")).rows;
      await database.query("begin; insert into t values (2); prepare transaction 'it''s'");
      const subjects = [`process ${process?.pid}`, "prepared transaction it's"];
      const found = async (ages?: typeof ANY_AGE): Promise<readonly Finding[]> =>
        (await findingsOf(database.url, {}, { ...(ages && { ages }) })).filter(({ subject }) =>
          subjects.includes(subject),
        );

      await using watch = new SlotReporter("shop" as SourceId, database);
      await using session = new Session({ connectionString: database.url });
      expect(
        await failureOf(createSlot({ connectionString: database.url }, session, "millrace_shop", 100)),
      ).toMatchObject({
        code: "SLOT_BLOCKED",
        message: expect.stringContaining(subjects.join(", ")),
      });
      expect(await found()).toEqual([]);
      const findings = await found(ANY_AGE);
      expect(findings.map(({ code, level }) => `${level} ${code}`).sort()).toEqual([
        "warn TRANSACTION_OLD",
        "warn TRANSACTION_PREPARED",
      ]);
      await runFix(database, findings[0]?.fix);
      await waitFor(async () => (await watch.look()).oldestTransaction?.gid === "it's", {
        what: "the prepared one to be the oldest",
      });
      await runFix(database, findings[1]?.fix);
      expect(await found(ANY_AGE)).toEqual([]);
      await writer.end().catch(() => {}); // it was ended by the fix
    });

    test("a neighbour's dead slot, but not one of another configured source, nor one that was read a moment ago", async () => {
      const { database } = fixture;
      await database.query("select pg_create_logical_replication_slot('neighbour', 'pgoutput')");
      await database.query("select pg_create_logical_replication_slot('millrace_stock', 'pgoutput')");
      const dead = (others: readonly string[]): Promise<readonly Finding[]> =>
        wrong(database.url, "SLOT_DEAD", {}, { others, ages: ANY_AGE });
      const tellsIdleness = (
        await database.query("select (to_jsonb(s)->>'inactive_since') from pg_replication_slots s")
      )
        .flatMap(Object.values)
        .every((since) => since !== null);

      expect((await dead([])).map(({ subject }) => subject)).toEqual(["slot millrace_stock", "slot neighbour"]);
      const [neighbour, ...rest] = await dead(["stock"]);
      expect([neighbour?.subject, rest]).toEqual(["slot neighbour", []]);
      expect(await wrong(database.url, "SLOT_DEAD")).toHaveLength(tellsIdleness ? 0 : 2);
      await runFix(database, neighbour?.fix);
      expect(await dead(["stock"])).toEqual([]);
    });

    test("a slot of ours that cannot serve", async () => {
      const { database } = fixture;
      await database.query("select pg_create_logical_replication_slot('millrace_shop', 'test_decoding')");

      expect(await wrong(database.url, "SLOT_WRONG_PLUGIN")).toHaveLength(1);
      await database.query("select pg_drop_replication_slot('millrace_shop')");
      expect(await wrong(database.url, "SLOT_WRONG_PLUGIN")).toEqual([]);
    });

    test("a slot of ours that the server gave up", async () => {
      const server = await freshPostgres({ max_slot_wal_keep_size: "1MB", max_wal_size: "32MB", min_wal_size: "32MB" });
      await using database = await freshDatabase(server);
      await database.query("create table orders(id int primary key)");
      await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
      for (let n = 0; n < 4; n++) await database.query("select pg_switch_wal(), txid_current()");
      await database.query("checkpoint");

      expect(await wrong(database.url, "SLOT_LOST")).toEqual([
        expect.objectContaining({ level: "fail", fix: expect.stringContaining("run --adopt") }),
      ]);
      await database.query("select pg_drop_replication_slot('millrace_shop')"); // as run --adopt does
      expect(await wrong(database.url, "SLOT_LOST")).toEqual([]);
    });

    test("a slot of another database", async () => {
      await using other = await freshDatabase();
      await other.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");

      expect(await wrong(fixture.database.url, "SLOT_WRONG_DATABASE")).toEqual([
        expect.objectContaining({ level: "fail" }),
      ]);
      expect(await wrong(fixture.database.url, "SLOT_WRONG_DATABASE", { slot: "another" })).toEqual([]);
    });

    test("what the source has on record against what the server has", async () => {
      const { database } = fixture;
      const url = database.url;
      const failures = async (saved: CheckContext<unknown>["saved"], options = {}): Promise<readonly string[]> =>
        (await findingsOf(url, options, { saved })).filter(({ level }) => level === "fail").map(({ code }) => code);
      const systemId = await fixture.value("select system_identifier::text from pg_control_system()");
      const names = { slot: "millrace_shop", publication: "millrace_shop", database: database.url.split("/").at(-1) };
      const created = { stage: "created", ...names, systemId, timeline: 1, history: 1, consistentPoint: "0/1" };

      expect(await failures(undefined)).toEqual([]);
      expect(await failures(created)).toEqual(["SLOT_MISSING"]);
      await database.query("create publication millrace_shop for table orders");
      await database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
      expect(await failures(undefined)).toEqual(["SLOT_UNKNOWN"]);
      expect(await failures(created)).toEqual([]);
      expect(await failures(created, { slot: "renamed" })).toEqual(["SLOT_RENAMED"]);
      expect(await failures({ ...created, systemId: "1" })).toEqual(["SOURCE_OTHER_CLUSTER"]);
      const { stage: _stage, consistentPoint: _point, ...planned } = created;
      expect(await failures({ ...planned, stage: "planned", plannedAt: "0/1" })).toEqual([]);
    });

    test("a publication that is gone while the slot is there", async () => {
      await fixture.database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");

      expect(await wrong(fixture.database.url, "PUBLICATION_MISSING")).toEqual([
        expect.objectContaining({ level: "fail", message: expect.stringContaining("cannot be had again") }),
      ]);
      await fixture.database.query("select pg_drop_replication_slot('millrace_shop')"); // as run --adopt does
      expect(await wrong(fixture.database.url, "PUBLICATION_MISSING")).toEqual([]);
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
      for (const { fix } of findings) await runFix(database, fix); // taken by the server, in force only from a restart on
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
      await runFix(database, finding?.fix);
      await soon(false);
    } finally {
      await database.query(`alter system reset ${setting.split(" ")[0]}`);
      await database.query("select pg_reload_conf()");
    }
  });

  test("a provider's server is told by its role: what the provider refuses is not printed", async () => {
    const { database } = fixture;
    await database.query("create role rdsadmin; create role reader login");
    const url = database.url.replace("postgres@", "reader@");
    const [limit] = await wrong(url, "SLOT_WAL_LIMIT");
    const [role] = await wrong(url, "ROLE_NOT_REPLICATION");
    await database.query("create role rds_replication");
    await runFix(database, role?.fix);
    const after = await wrong(url, "ROLE_NOT_REPLICATION");
    await database.query("drop role rdsadmin; drop role rds_replication; drop role reader");

    expect(limit?.fix).toBe("In the parameter group of RDS or Aurora: max_slot_wal_keep_size = 51200.");
    expect([role?.level, after]).toEqual(["fail", []]);
  });

  test("a pooler's port, and the server's own", async () => {
    const { database } = fixture;
    await using proxy = await TcpProxy.start(database.server.port, 6543);

    expect(await wrong(proxy.url(database.url), "POOLER_IN_THE_WAY")).toEqual([
      expect.objectContaining({ level: "warn", fix: expect.stringContaining("5432") }),
    ]);
    expect(await wrong(database.url, "POOLER_IN_THE_WAY")).toEqual([]);
  });

  test("a machine whose clock is wrong, until it is set right", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 60_000 });
    onTestFinished(() => void vi.useRealTimers());
    expect(await wrong(fixture.database.url, "CLOCK_SKEW")).toEqual([
      expect.objectContaining({ level: "warn", message: expect.stringContaining("ahead of") }),
    ]);

    vi.useRealTimers();
    expect(await wrong(fixture.database.url, "CLOCK_SKEW")).toEqual([]);
  });

  test("a role that pg_hba.conf keeps out, until its password is right", async () => {
    const { database } = fixture;
    const rules = join(database.server.dataDir, "pg_hba.conf");
    const before = await readFile(rules, "utf8");
    await writeFile(rules, `host all guarded 127.0.0.1/32 scram-sha-256\n${before}`);
    await database.query("create role guarded login replication password 'right'");
    await database.query("select pg_reload_conf()");
    const url = database.url.replace("postgres@", "guarded:wr0ng@");

    const found = await findingsOf(url);
    expect(found.filter(({ level }) => level === "fail")).toEqual([expect.objectContaining({ code: "AUTH_FAILED" })]);
    expect(JSON.stringify(found)).not.toContain("wr0ng");
    expect(await wrong(url.replace("wr0ng", "right"), "AUTH_FAILED")).toEqual([]);
    await database.query("drop role guarded");
  });

  test("a server that does not answer and a database that is not there: one finding each, until they are", async () => {
    const { database } = fixture;
    const port = await freePort();
    const away = database.url.replace(/:\d+\//, `:${port}/`);
    const nowhere = database.url.replace(/test_\d+$/, "nowhere");
    const failed = async (url: string): Promise<readonly string[]> =>
      (await findingsOf(url)).filter(({ level }) => level === "fail").map(({ code }) => code);

    expect([await failed(away), await failed(nowhere)]).toEqual([["SOURCE_UNREACHABLE"], ["DATABASE_MISSING"]]);
    await using _proxy = await TcpProxy.start(database.server.port, port);
    await database.query("create database nowhere");
    expect(await wrong(away, "SOURCE_UNREACHABLE")).toEqual([]);
    expect(await wrong(nowhere, "DATABASE_MISSING")).toEqual([]);
    await database.query("drop database nowhere");
  });
});
