// Opening a source on a real Postgres: what must hold before anything is changed, the first start and its crashes.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { freePort } from "../../../../src/dev/free-port.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { startPooler } from "../../../support/postgres/pooler.ts";
import { failureOf, openShop, Reading, TestMemory } from "../../../support/postgres/reader.ts";
import { freshPostgres, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("opening a Postgres source", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text)");
  const slots = () =>
    fixture.value("select count(*)::int from pg_replication_slots where database = current_database()");
  const publications = () => fixture.value("select count(*)::int from pg_publication");
  const published = () =>
    fixture.value("select string_agg(tablename, ' ' order by tablename) from pg_publication_tables");
  const withUser = (user: string, password = ""): string =>
    fixture.database.url.replace("postgres@", `${user}${password && `:${password}`}@`);

  describe("refuses, and changes nothing,", () => {
    const refused = async (url: string, options: Record<string, unknown> = {}): Promise<unknown> => {
      const memory = new TestMemory();
      const error = await failureOf(openShop(url, { memory, options }));
      expect(memory.value).toBeUndefined();
      expect(await slots()).toBe(0);
      expect(await publications()).toBe(0);
      return error;
    };

    test("a database that does not exist", async () => {
      const error = await refused(fixture.database.url.replace(/test_\d+$/, "nowhere"));

      expect(error).toMatchObject({ name: "ConfigError", code: "DATABASE_MISSING" });
    });

    test("a server that does not answer, for now", async () => {
      const error = await refused(`postgres://postgres@127.0.0.1:${await freePort()}/postgres`);

      expect(error).toMatchObject({ name: "TransientError", code: "SOURCE_UNREACHABLE" });
    });

    test("a role that may not replicate", async () => {
      await fixture.database.query("drop role if exists reader; create role reader login");

      expect(await refused(withUser("reader"))).toMatchObject({ name: "ConfigError", code: "ROLE_NOT_REPLICATION" });
    });

    test("a wrong password, a missing one, and a role that may not log in; the password is not in the error", async () => {
      const { server } = fixture.database;
      const rules = join(server.dataDir, "pg_hba.conf");
      await writeFile(rules, `host all guarded 127.0.0.1/32 scram-sha-256\n${await readFile(rules, "utf8")}`);
      await fixture.database.query("drop role if exists guarded, nobody_in");
      await fixture.database.query("create role guarded login replication password 'right'; create role nobody_in");
      await fixture.database.query("select pg_reload_conf()");

      for (const url of [withUser("guarded", "wrongsecret"), withUser("guarded"), withUser("nobody_in")]) {
        const error = await refused(url);
        expect(error).toMatchObject({ name: "ConfigError", code: "AUTH_FAILED" });
        expect(`${error}${(error as { hint: string }).hint}`).not.toContain("wrongsecret");
      }
    });

    test("a pooler between it and the server", async () => {
      await using pooler = await startPooler(fixture.database.server.port);
      const url = fixture.database.url.replace(/:\d+\//, `:${pooler.port}/`);

      expect(await refused(url)).toMatchObject({ name: "ConfigError", code: "POOLER_IN_THE_WAY" });
    });

    test("a server whose log is not logical", async () => {
      const { url } = await freshPostgres({ wal_level: "replica" });

      expect(await refused(url)).toMatchObject({ name: "ConfigError", code: "WAL_LEVEL_NOT_LOGICAL" });
    });

    test("a database whose texts have no encoding", async () => {
      await fixture.database.query("drop database if exists ascii");
      await fixture.database.query("create database ascii encoding 'SQL_ASCII' locale 'C' template template0");
      const error = await refused(fixture.database.url.replace(/test_\d+$/, "ascii"));

      expect(error).toMatchObject({ name: "ConfigError", code: "ENCODING_UNKNOWN" });
    });

    test("a pattern that matches no table", async () => {
      const error = await refused(fixture.database.url, { tables: ["public.*", "sales.*"] });

      expect(error).toMatchObject({ code: "TABLES_MATCH_NOTHING", message: 'no table matches "sales.*"' });
    });

    test.each([
      ["without a primary key", "create table bad(id int)"],
      ["with a key that may be deferred", "create table bad(id int primary key deferrable)"],
      [
        "with a partition that is not identified",
        "create table bad(id int) partition by range (id); alter table bad replica identity full; create table bad_1 partition of bad for values from (0) to (9)",
      ],
    ])("a table %s", async (_, sql) => {
      await fixture.database.query(sql);
      const error = await refused(fixture.database.url);

      expect(error).toMatchObject({ name: "ConfigError", code: "TABLE_WITHOUT_IDENTITY" });
      expect(error).toMatchObject({ message: expect.stringContaining("public.bad") });
      expect(error).toMatchObject({
        hint: expect.stringMatching(/PRIMARY KEY.*REPLICA IDENTITY FULL.*"!public\.bad"/),
      });
    });

    test("a table whose primary key is not its replica identity, and says how it becomes so", async () => {
      await fixture.database.query("create table bad(id int primary key); alter table bad replica identity nothing");
      const error = await refused(fixture.database.url);

      expect(error).toMatchObject({ name: "ConfigError", code: "TABLE_WITHOUT_IDENTITY" });
      const { hint } = error as { hint: string };
      await fixture.database.query(/ALTER TABLE "public"."bad" REPLICA IDENTITY DEFAULT/.exec(hint)?.[0] ?? "");
      await fixture.open();
    });

    test("a publication that this role may not make, and says what to run", async () => {
      await fixture.database.query("drop role if exists repl; create role repl login replication");
      const error = await failureOf(openShop(withUser("repl")));

      expect(error).toMatchObject({ name: "ConfigError", code: "PUBLICATION_MISSING" });
      expect(await slots()).toBe(0);
      const { hint } = error as { hint: string };
      await fixture.database.query(hint.slice(hint.indexOf("CREATE PUBLICATION")));
      await using source = await openShop(withUser("repl"));
      expect(source.memory.value).toMatchObject({ stage: "created" });
    });
  });

  describe("the first start", () => {
    test("plans, then makes publication and slot, then remembers both", async () => {
      const source = await fixture.open();

      expect(source.memory.saves.map(({ stage }) => stage)).toEqual(["planned", "created"]);
      expect(source.logged.map(({ event }) => event)).toEqual(["source_publication_changed", "source_slot_created"]);
      expect(source.memory.value).toMatchObject({ slot: "millrace_shop", publication: "millrace_shop", history: 1 });
    });

    test("takes names from the options", async () => {
      await fixture.open({ options: { slot: "mine", publication: 'my "own"' } });

      expect(
        await fixture.value("select slot_name from pg_replication_slots where database = current_database()"),
      ).toBe("mine");
      expect(await fixture.value("select pubname from pg_publication")).toBe('my "own"');
    });

    test.each(["planned", "created"])("that dies before it can save '%s' begins again", async (stage) => {
      const memory = dyingAt(stage);
      await failureOf(fixture.open({ memory }));
      memory.onSave = () => {};
      await fixture.database.query("insert into orders values (1)");
      const source = await fixture.open({ memory });
      const reading = new Reading(source);
      await fixture.database.query("insert into orders values (2)");

      // With a slot of its own already there, what was committed meanwhile is part of the history.
      const ids = stage === "planned" ? [2] : [1, 2];
      const rows = await reading.rows(ids.length);
      expect(rows.map(({ key }) => key)).toEqual(ids.map((id) => ({ id })));
      expect(await slots()).toBe(1);
      await reading.stop();
    });

    test("that died while its slot was being made ends that and makes it anew", async () => {
      const maker = () =>
        fixture.value("select active_pid from pg_replication_slots where confirmed_flush_lsn is null");
      const writer = await fixture.database.connect();
      await writer.query("begin; insert into orders values (1)"); // a new slot waits for its end
      const memory = new TestMemory();
      const dead = failureOf(fixture.open({ memory }));
      const left = await waitFor(async () => (await maker()) ?? false, { what: "the slot in the making" });
      const source = fixture.open({ memory });
      await waitFor(async () => ![left, undefined, null].includes((await maker()) as number), {
        what: "another maker",
      });
      await writer.query("commit");
      await writer.end();
      await source;

      expect(await dead).toMatchObject({ name: "TransientError" });
      expect(await slots()).toBe(1);
      expect(memory.value).toMatchObject({ stage: "created" });
    });

    test("that saved everything but published no marker publishes it at the next one", async () => {
      const source = await fixture.open();
      const again = await fixture.reopen(source);
      const reading = new Reading(again);
      await reading.until(() => reading.events.length > 0, "the marker");

      expect(reading.events[0]?.subject).toBe("meta.shop.history");
      expect(again.memory.saves.filter(({ stage }) => stage === "planned")).toHaveLength(1);
      await reading.stop();
    });
  });

  describe("a slot that nobody planned", () => {
    test("stops the source, and is not touched", async () => {
      await fixture.database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
      const error = await failureOf(fixture.open());

      expect(error).toMatchObject({
        name: "ConfigError",
        code: "SLOT_UNKNOWN",
        hint: expect.stringContaining("--adopt"),
      });
      expect(await slots()).toBe(1);
      expect(await publications()).toBe(0);
    });

    test("is taken over by --adopt from where it stands, with a gap on record", async () => {
      await fixture.database.query("create publication millrace_shop for table orders");
      await fixture.database.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
      await fixture.database.query("insert into orders values (1)");
      const source = await fixture.open({ adopt: true });
      const reading = new Reading(source);
      expect(await reading.rows(1)).toMatchObject([{ key: { id: 1 } }]);

      expect(reading.events.slice(0, 2).map(({ subject }) => subject)).toEqual(["meta.shop.gap", "meta.shop.history"]);
      expect(JSON.parse(Buffer.from(reading.events[0]?.data ?? []).toString())).toMatchObject({ after: null });
      expect(source.memory.value).toMatchObject({ stage: "created", cause: { code: "SLOT_UNKNOWN" } });
      await reading.stop();
      await fixture.reopen(source);
    });

    test.each([
      ["SLOT_WRONG_PLUGIN", "select pg_create_logical_replication_slot('millrace_shop', 'test_decoding')"],
      ["SLOT_WRONG_PLUGIN", "select pg_create_logical_replication_slot('millrace_shop', 'pgoutput', false, true)"],
    ])("is not adopted when it is %s", async (code, sql) => {
      await fixture.database.query(sql);

      expect(await failureOf(fixture.open({ adopt: true }))).toMatchObject({ name: "ConfigError", code });
    });

    test("is not adopted from another database", async () => {
      const { url } = fixture.database.server;
      const elsewhere = new Client({ connectionString: url });
      await elsewhere.connect();
      await elsewhere.query("select pg_create_logical_replication_slot('millrace_shop', 'pgoutput')");
      const error = await failureOf(fixture.open({ adopt: true }));
      await elsewhere.query("select pg_drop_replication_slot('millrace_shop')");
      await elsewhere.end();

      expect(error).toMatchObject({ name: "ConfigError", code: "SLOT_WRONG_DATABASE" });
    });
  });

  describe("the publication", () => {
    test("follows the patterns as long as it is ours", async () => {
      const source = await fixture.open();
      await fixture.database.query("create table items(id int primary key); create table logs(id int primary key)");
      const wider = await fixture.reopen(source);
      expect(await published()).toBe("items logs orders");
      await fixture.reopen(wider, { options: { tables: ["public.*", "!public.items"] } });

      expect(await published()).toBe("logs orders");
    });

    test("of somebody else is fine when it has the tables, and never altered", async () => {
      await fixture.database.query("create table items(id int primary key)");
      await fixture.database.query("create publication theirs for all tables");
      await using source = await openShop(fixture.database.url, { options: { publication: "theirs" } });

      expect(source.logged.map(({ event }) => event)).toEqual(["source_slot_created"]);
    });

    test.each([
      ["a table", "PUBLICATION_LACKS_TABLES", "create publication theirs for table items"],
      ["the roots of partitions", "PUBLICATION_OF_PARTITIONS", "create publication theirs for all tables"],
    ])("of somebody else that lacks %s is refused with what to run", async (_, code, sql) => {
      await fixture.database.query("create table items(id int primary key)");
      await fixture.database.query("create table parts(id int primary key) partition by range (id)");
      await fixture.database.query(sql);
      const options = { publication: "theirs" };
      const error = await failureOf(fixture.open({ options }));

      expect(error).toMatchObject({ name: "ConfigError", code });
      expect(await slots()).toBe(0);
      const { hint } = error as { hint: string };
      await fixture.database.query(hint.slice(hint.indexOf("ALTER PUBLICATION")));
      await fixture.open({ options });
    });
  });
});

/** A memory that cannot be written any more once a stage is to be saved. */
function dyingAt(stage: string): TestMemory {
  const memory = new TestMemory();
  memory.onSave = (value) => {
    if (value.stage === stage) throw new Error("died here");
  };
  return memory;
}
