// What events carry of a row, by the table's identity, its partitions and its columns, whatever it is called.

import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { decodeSubject } from "../../../support/bus/decode-subject.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, Reading } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

describe.skipIf(missing("postgres"))("an event", () => {
  const fixture = postgresFixture("select 1");
  const query = (sql: string) => fixture.database.query(sql);
  const begin = (options: Record<string, unknown> = {}) => fixture.begin({ options: { timeout: "600ms", ...options } });
  const collections = (reading: Reading) =>
    reading.events.filter(({ subject }) => subject.startsWith("cdc.")).map(({ subject }) => decodeSubject(subject));

  describe("of a table of every identity that can be published comes first to last, its key telling rows apart:", () => {
    const doc = "x".repeat(4000);
    const columns = "(id int not null, code text not null, note text, doc text)";
    const full = { id: 1, code: "a", note: null, doc };
    test.each([
      {
        identity: "DEFAULT",
        sql: "alter table t add primary key (id)",
        key: { id: 1 },
        before: null,
        unchanged: ["doc"],
        gone: { id: 1 },
      },
      {
        identity: "DEFAULT with two columns in another order",
        sql: "alter table t add primary key (code, id)",
        key: { code: "a", id: 1 },
        before: null,
        unchanged: ["doc"],
        gone: { code: "a", id: 1 },
      },
      {
        identity: "USING INDEX",
        sql: "alter table t add primary key (id); create unique index by_code on t (code); alter table t replica identity using index by_code",
        key: { code: "a" },
        before: null,
        unchanged: ["doc"],
        gone: { code: "a" },
      },
      {
        identity: "FULL",
        sql: "alter table t add primary key (id); alter table t replica identity full",
        key: { id: 1 },
        before: full,
        unchanged: undefined,
        gone: { ...full, note: "n" },
      },
      {
        identity: "FULL without a key",
        sql: "alter table t replica identity full",
        key: null,
        before: full,
        unchanged: undefined,
        gone: { ...full, note: "n" },
      },
    ])("$identity", async ({ sql, key, before, unchanged, gone }) => {
      await query(`create table t ${columns}; alter table t alter doc set storage external; ${sql}`);
      const { reading } = await begin();
      await query(`insert into t values (1, 'a', null, '${doc}')`);
      await query("update t set note = 'n'");
      await query("delete from t");
      await query("truncate t");
      const after = unchanged === undefined ? { ...full, note: "n" } : { id: 1, code: "a", note: "n" };

      expect(await reading.rows(4)).toEqual([
        { op: "created", key, before: null, after: full },
        {
          op: "updated",
          key,
          before,
          after,
          ...(unchanged === undefined ? { changed: ["note"] } : { unchanged }),
        },
        { op: "deleted", key, before: gone, after: null },
        { op: "truncated", key: null, before: null, after: null },
      ]);
      await reading.stop();
    });

    test.each([
      ["NOTHING", "alter table t add primary key (id); alter table t replica identity nothing"],
      ["DEFAULT without a key", "select 1"],
    ])("%s, in a publication of inserts alone: then the application's writes go on", async (_, sql) => {
      await query(`create table t ${columns}; ${sql}`);
      await query("create publication theirs for table t with (publish = 'insert')");
      const { source, reading } = await begin({ publication: "theirs" });
      await query(
        "insert into t values (1, 'a'); update t set note = 'n'; delete from t; insert into t values (2, 'b')",
      );

      expect((await reading.rows(2)).map(({ op, after }) => [op, (after as { id: number }).id])).toEqual([
        ["created", 1],
        ["created", 2],
      ]);
      expect(source.notices()).toEqual([]);
      await reading.stop();
      // Fact: published with its updates, the application could no longer write.
      await query("alter publication theirs set (publish = 'insert, update')");
      expect(await failureOf(query("update t set note = 'm'"))).toMatchObject({ code: "55000" });
      expect(await failureOf(fixture.open({ options: { publication: "theirs" } }))).toMatchObject({
        code: "TABLE_WITHOUT_IDENTITY",
      });
    });
  });

  test("of a key that is stored apart carries it when it did not change", async () => {
    await query("create table t(id text primary key, note text); alter table t alter id set storage external");
    const { reading } = await begin();
    const id = "k".repeat(2500);
    await query(`insert into t values ('${id}', 'a'); update t set note = 'b'`);
    await query(`update t set id = id || '!'`);
    const rows = await reading.rows(4);

    expect(rows.map(({ op, key }) => [op, (key as { id: string }).id.length])).toEqual([
      ["created", 2500],
      ["updated", 2500],
      ["deleted", 2500],
      ["created", 2501],
    ]);
    await reading.stop();
  });

  test("of a truncate of several tables is one for each, in one transaction", async () => {
    await query("create table a(id int primary key); create table b(id int primary key, a int references a)");
    const { reading } = await begin();
    await query("truncate a cascade");
    await reading.rows(2);

    expect(collections(reading)).toEqual(["public.a.truncated", "public.b.truncated"]);
    expect(reading.events.slice(1).map(({ position }) => position.endsWith("+"))).toEqual([false, true]);
    await reading.stop();
  });

  describe("of a partitioned table", () => {
    const parts = `create table parts(id int, day int, primary key (id, day)) partition by range (day);
      create table parts_1 partition of parts for values from (0) to (10);
      create table parts_2 partition of parts for values from (10) to (20)`;
    const changes = "insert into parts values (1, 5); update parts set day = 15; delete from parts";

    test("has the root's name where a pattern names the root; one that moves is deleted and created", async () => {
      await query(parts);
      const { reading } = await begin();
      await query(changes);
      await reading.rows(4);

      expect(collections(reading)).toEqual(
        ["created", "deleted", "created", "deleted"].map((op) => `public.parts.${op}`),
      );
      await reading.stop();
    });

    test("has the partition's name where patterns name partitions alone", async () => {
      await query(parts);
      const { reading } = await begin({ tables: ["public.parts_*"] });
      await query(changes);
      await reading.rows(4);

      expect(collections(reading)).toEqual([
        "public.parts_1.created",
        "public.parts_1.deleted",
        "public.parts_2.created",
        "public.parts_2.deleted",
      ]);
      await reading.stop();
    });
  });

  describe("of a partitioned table whose partitions have another replica identity", () => {
    const parts = `create table parts(id int, day int, code text not null, note text, primary key (id, day)) partition by range (day);
      create table parts_1 partition of parts for values from (0) to (10);
      create table parts_2 partition of parts for values from (10) to (20)`;

    test("never has a null before that means unknown, and a schema that says so", async () => {
      await query(`${parts}; alter table parts replica identity full; alter table parts_1 replica identity full`);
      const { reading } = await begin();
      await query("insert into parts values (1, 5, 'a', 'x'), (2, 15, 'b', 'y')");
      await query("update parts set note = 'z'; update parts set id = 3 where id = 2; delete from parts where id = 3");
      const rows = await reading.rows(7);

      expect(rows.slice(2).map(({ op, key, before }) => [op, key, before])).toEqual([
        ["updated", { day: 5, id: 1 }, null],
        ["updated", { day: 15, id: 2 }, null],
        ["deleted", { day: 15, id: 2 }, { day: 15, id: 2 }],
        ["created", { day: 15, id: 3 }, null],
        ["deleted", { day: 15, id: 3 }, { day: 15, id: 3 }],
      ]);
      const [told] = reading.announcements.map(({ data }) => JSON.parse(Buffer.from(data).toString()));
      expect(told).toMatchObject({ collection: "parts", identity: "key" });
      await reading.stop();
    });

    test("is poison where the log has another key than the root's, never a wrong key", async () => {
      await query(`${parts}; create unique index by_code on parts_2 (code)`);
      const { reading } = await begin(); // a start is refused where this is so already
      await query("alter table parts_2 replica identity using index by_code");
      await query("insert into parts values (1, 5, 'a'), (2, 15, 'b'); update parts set note = 'x'; delete from parts");
      await query("insert into parts values (3, 5, 'c')");
      await reading.until(() => reading.bodies.length === 6, "the last row");

      expect(reading.bodies.map(({ op, key }) => [op, (key as { id: number }).id])).toEqual([
        ["created", 1],
        ["created", 2],
        ["updated", 1],
        ["updated", 2],
        ["deleted", 1],
        ["created", 3],
      ]);
      const poison = reading.messages.filter((message) => message.type === "poison");
      expect(poison).toMatchObject([{ collection: "parts", error: { code: "KEY_MISSING" } }]);
      await reading.stop();
    });
  });

  test("under FULL has the key that its table had, whatever its columns are called by now", async () => {
    await query(
      "create table t(id int, code text, note text, primary key (id, code)); alter table t replica identity full",
    );
    const { source, reading } = await begin();
    await query("insert into t values (1, 'a')");
    await reading.rows(1);
    await reading.stop();
    await query("update t set note = 'x'; alter table t rename id to number; update t set note = 'y'");
    const second = new Reading(await fixture.reopen(source, { options: { timeout: "600ms" } }), reading.last);

    expect((await second.rows(2)).map(({ key }) => key)).toEqual([
      { code: "a", id: 1 },
      { code: "a", number: 1 },
    ]);
    expect(second.announcements.map(({ data }) => JSON.parse(Buffer.from(data).toString()).changes)).toEqual([
      { renamed: [{ from: "id", to: "number" }] },
    ]);
    await second.stop();
  });

  test("has stored generated columns (from Postgres 18 on), those of a table that has them later too", async () => {
    await query("create table t(id int primary key, twice int generated always as (id * 2) stored)");
    const { reading } = await begin();
    await query("insert into t values (1)");
    await query("alter table t add thrice int generated always as (id * 3) stored; insert into t values (2)");

    expect((await reading.rows(2)).map(({ after }) => after)).toEqual([
      { id: 1, twice: 2 },
      { id: 2, twice: 4, thrice: 6 },
    ]);
    await reading.stop();
  });

  test("comes from any schema, and from a table and columns of any name", async () => {
    const names = [
      ["sales", "orders"],
      ["my.schema", "Order Items"],
      ["public", 'say "hi"'],
      ["grün", "straße.日本"],
      ["public", "n".repeat(63)],
      ["public", "*"],
    ] as const;
    const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
    for (const [schema, table] of names) {
      await query(`create schema if not exists ${quoted(schema)}`);
      await query(`create table ${quoted(schema)}.${quoted(table)}(${quoted(table)} int primary key)`);
    }
    const tables = names.map(([schema, table]) => `${quoted(schema)}.${quoted(table)}`);
    const { reading } = await begin({ tables });
    for (const table of tables) await query(`insert into ${table} values (1)`);
    const rows = await reading.rows(names.length);

    expect(collections(reading)).toEqual(names.map(([schema, table]) => `${schema}.${table}.created`));
    expect(rows.map(({ key }) => key)).toEqual(names.map(([, table]) => ({ [table]: 1 })));
    await reading.stop();
  });

  test("hides a masked column under its next name too, and the start after that wants the name", async () => {
    await query("create table users(id int primary key, email text, note text)");
    const key = "a-key-of-the-test";
    const options = {
      tables: [{ match: "public.users", mask: { email: "hash" }, columns: { exclude: ["note"] } }],
      maskKey: key,
    };
    const { reading } = await begin(options);
    await query("insert into users values (1, 'secret@one', 'secret')");
    await query(
      "begin; alter table users rename email to mail; alter table users rename note to remark; insert into users values (2, 'secret@two', 'secret'); commit",
    );
    const hash = (text: string) => createHmac("sha256", key).update(text).digest("hex");

    expect((await reading.rows(2)).map(({ after }) => after)).toEqual([
      { id: 1, email: hash("secret@one") },
      { id: 2, mail: hash("secret@two") },
    ]);
    await reading.stop();
    expect(await failureOf(fixture.open({ options }))).toMatchObject({
      name: "ConfigError",
      code: "TABLE_COLUMN_UNKNOWN",
    });
    const renamed = {
      ...options,
      tables: [{ match: "public.users", mask: { mail: "hash", remark: { constant: "" } } }],
    };
    await fixture.open({ options: { ...renamed, slot: "second", publication: "second" } });
  });

  test("hides what was hidden when its table is renamed or becomes a partition, and the source tells of it", async () => {
    await query("create table users(id int primary key, email text, note text)");
    await query("create table clients(id int primary key, email text, note text) partition by range (id)");
    const tables = [
      "public.*",
      { match: "public.users", mask: { email: { constant: "-" } }, columns: { exclude: ["note"] } },
    ];
    const { source, reading } = await begin({ tables });
    await query("insert into users values (1, 'secret', 'secret')");
    await reading.rows(1);
    await query("alter table users rename to people; insert into people values (2, 'secret', 'secret')");
    // The stream tells of the columns, the look at the catalog of the name: each in its own time.
    await waitFor(() => source.notices().length === 2, { what: "both notices" });
    expect(source.notices()).toMatchObject([
      { code: "TABLE_COLUMN_UNKNOWN", message: expect.stringMatching(/^public\.people .* email, note /) },
      { code: "TABLES_MATCH_NOTHING", message: 'no table matches "public.users"' },
    ]);
    await query("create table clients_2 partition of clients for values from (100) to (200)");
    await query("insert into clients values (100, 'known', 'known')");
    await reading.rows(3);
    await query("alter table clients attach partition people for values from (0) to (100)");
    await query("insert into clients values (3, 'secret', 'secret')");

    const rows = await reading.rows(4);
    expect(rows.map(({ after }) => after)).toEqual([
      { id: 1, email: "-" },
      { id: 2, email: "-" },
      { id: 100, email: "known", note: "known" },
      { id: 3, email: "-" },
    ]);
    await reading.stop();
  });
});
