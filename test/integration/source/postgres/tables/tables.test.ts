// Which tables a source reads while it runs: new ones, those that cannot be published, and what others do to its publication.

import { describe, expect, test } from "vitest";
import { wrong } from "../../../../support/postgres/findings.ts";
import { gaps, postgresFixture } from "../../../../support/postgres/fixture.ts";
import { failureOf, Reading, type TestSource } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";
import { waitFor } from "../../../../support/wait-for.ts";

/** Looked at every 200 ms. */
const options = { timeout: "600ms" };

describe.skipIf(missing("postgres"))("the tables of a running source", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text, tenant int)");
  const begin = (more: Record<string, unknown> = {}) => fixture.begin({ options: { ...options, ...more } });
  const query = (sql: string) => fixture.database.query(sql);
  const known = async (source: TestSource, count: number) =>
    waitFor(
      () =>
        Object.keys((source.memory.value as { published?: { tables: object } }).published?.tables ?? {}).length ===
        count,
      { what: `${count} tables on record` },
    );

  test("take in a new one that matches, without a gap when it was empty", async () => {
    const { source, reading } = await begin();
    await query("create table items(id int primary key)");
    await fixture.untilPublished("items orders");
    await known(source, 2);
    await query("insert into items values (1)");
    const [row] = await reading.rows(1);

    expect(row).toMatchObject({ op: "created", key: { id: 1 } });
    expect(gaps(reading)).toEqual([]);
    expect(source.logged.map(({ event }) => event)).toContain("source_publication_changed");
    await reading.stop();
  });

  test("tell the stream of rows that were written before the table was published, once they are on record", async () => {
    const { source, reading } = await begin();
    await query("create table items(id int primary key); insert into items values (1)");
    await reading.until(() => gaps(reading).length > 0, "the gap");
    expect(gaps(reading)).toMatchObject([{ collections: ["public.items"], after: null, code: "TABLE_ADDED" }]);
    await reading.stop();

    // Nothing was acknowledged: it might not be stored.
    const again = await fixture.reopen(source, { options });
    const second = new Reading(again, reading.last);
    await second.until(() => gaps(second).length > 0, "the gap once more");
    const ids = [reading, second].map(({ events }) => events.find(({ subject }) => subject === "meta.shop.gap")?.head);
    expect(gaps(second)).toEqual(gaps(reading));
    expect(ids.map((head) => /ce-id: (.*)\r/.exec(head ?? "")?.[1])).toEqual([
      expect.anything(),
      ids[0]?.match(/ce-id: (.*)\r/)?.[1],
    ]);
    await query("insert into items values (2)");
    await second.until(async () => {
      await second.acknowledge();
      return Object.keys((again.memory.value as { published: { tables: object } }).published.tables).length === 2;
    }, "both tables on record");
    await second.stop();
    const third = new Reading(await fixture.reopen(again, { options }), second.last);
    await query("insert into items values (3)");
    await third.rows(1);
    expect(gaps(third)).toEqual([]);
    await third.stop();
  });

  test("leave one out whose rows cannot be told apart, say so, and let the application write to it", async () => {
    const { source, reading } = await begin();
    await query("create table bad(id int); create table good(id int primary key)");
    await fixture.untilPublished("good orders");
    await waitFor(() => source.notices().length > 0, { what: "the notice" });
    await query("insert into bad values (1); update bad set id = 2; insert into good values (1)");

    expect(await reading.rows(1)).toMatchObject([{ key: { id: 1 } }]);
    expect(source.notices()).toMatchObject([
      { code: "TABLE_WITHOUT_IDENTITY", message: expect.stringContaining("public.bad") },
    ]);
    expect(source.logged.filter(({ event }) => event === "source_table_left_out")).toHaveLength(1);
    await reading.stop();
    // After a restart too: a table that somebody made does not stop all others.
    const again = await fixture.reopen(source, { options });
    const second = new Reading(again, reading.last);
    await query("insert into good values (2)");
    await second.rows(1);
    await waitFor(() => again.notices().length > 0, { what: "the notice after the restart" });
    expect(again.notices()).toMatchObject([{ code: "TABLE_WITHOUT_IDENTITY" }]);
    expect(await wrong(fixture.database.url, "TABLE_WITHOUT_IDENTITY")).toMatchObject([
      { level: "fail", subject: "table public.bad" },
    ]);
    await query("alter table bad add primary key (id)");
    await fixture.untilPublished("bad good orders");
    await waitFor(() => again.notices().length === 0, { what: "no notice" });
    await second.stop();
  });

  test("whose publication is another's are told of with what to run, and taken in when it was run", async () => {
    await query("create publication theirs for table orders");
    const { source, reading } = await begin({ publication: "theirs" });
    await query("create table items(id int primary key)");
    await waitFor(() => source.notices().length > 0, { what: "the notice" });
    const [notice] = source.notices();
    expect(notice).toMatchObject({ code: "PUBLICATION_LACKS_TABLES" });
    expect(await fixture.published()).toBe("orders");
    await query("insert into items values (1)");
    await query((notice?.hint ?? "").replace(/^.*run: /, ""));
    await query("insert into items values (2)");

    expect(await reading.rows(1)).toMatchObject([{ key: { id: 2 } }]);
    await reading.until(() => gaps(reading).length > 0, "the gap");
    expect(gaps(reading)).toMatchObject([{ collections: ["public.items"] }]);
    await reading.stop();
  });

  test.each([
    ["taken out", "alter publication millrace_shop drop table orders", "public.orders"],
    [
      "taken out and put back",
      "begin; alter publication millrace_shop drop table orders; insert into orders values (7); commit; alter publication millrace_shop add table orders",
      "public.orders",
    ],
    ["published without its deletes", "alter publication millrace_shop set (publish = 'insert, update')", "delete"],
  ])(
    "stop the source when one was %s by somebody, and go on behind a recorded gap when that is accepted",
    async (_, sql, what) => {
      const { source, reading } = await begin();
      await known(source, 1);
      await query(sql);
      const error = await reading.ended;

      expect(error).toMatchObject({
        name: "HistoryLostError",
        code: "PUBLICATION_ALTERED",
        message: expect.stringContaining(what),
      });
      const again = new Reading(await fixture.reopen(source, { options }), reading.last);
      expect(await again.ended).toMatchObject({ code: "PUBLICATION_ALTERED" }); // it is not forgotten
      const accepted = new Reading(await fixture.reopen(source, { options, adopt: true }), reading.last);
      await accepted.until(() => gaps(accepted).length > 0, "the gap");
      await query("insert into orders values (8)");

      expect(await accepted.rows(1)).toMatchObject([{ key: { id: 8 } }]);
      expect(gaps(accepted)).toMatchObject([
        { collections: what === "public.orders" ? [what] : [], code: "PUBLICATION_ALTERED" },
      ]);
      expect(await fixture.value("select pubdelete from pg_publication")).toBe(true);
      expect(source.memory.value).toMatchObject({ history: 1 });
      await accepted.stop();
    },
  );

  test("stop the source when its publication was dropped and made anew", async () => {
    const { source, reading } = await begin();
    await known(source, 1);
    await query("drop publication millrace_shop; create publication millrace_shop for table orders");

    expect(await reading.ended).toMatchObject({ name: "HistoryLostError", code: "PUBLICATION_MISSING" });
  });

  test("may be none, for messages need no table", async () => {
    const { source, reading } = await begin({ tables: ["!public.*"], messages: ["audit"] });
    expect(await fixture.published()).toBe("");
    await query("insert into orders values (1); select pg_logical_emit_message(true, 'audit', 'x')");
    await reading.until(() => reading.events.length > 1, "the message");

    expect(reading.events.slice(1).map(({ subject }) => subject)).toEqual(["meta.shop.message.audit"]);
    expect(source.notices()).toEqual([]);
    await reading.stop();
  });

  test("are published without those that inherit from them: the application's writes to these go on", async () => {
    await query("create table child() inherits (orders); insert into child values (1, 'a', 1)");
    const { reading } = await begin({ tables: ["public.*", "!public.child", "!public.latest"] });
    expect(await fixture.published()).toBe("orders");
    await query("create table later(id int primary key); create table latest() inherits (later)");
    await fixture.untilPublished("later orders");
    await query("update child set status = 'b'; insert into latest values (1); update latest set id = 2");
    await query("update orders set status = 'c'; insert into later values (3)");

    expect(await reading.rows(1)).toMatchObject([{ op: "created", key: { id: 3 } }]);
    await reading.stop();
  });

  describe("with a condition", () => {
    test("are published without those that inherit from them, and go when the only one is renamed away", async () => {
      await query("create table child() inherits (orders); insert into child values (1, 'a', 1)");
      const { source, reading } = await begin(where("id < 10"));
      await query("update child set status = 'b'; alter table orders rename to former");
      await fixture.untilPublished("");
      await query("insert into former values (1)");
      const told = (): boolean => source.notices().some(({ code }) => code === "TABLES_MATCH_NOTHING");
      await waitFor(told, { what: "the pattern to be told of that matches nothing any more" });

      expect(source.logged.map(({ text }) => text)).toContain("publication altered");
      await reading.stop();
    });

    const where = (condition: string, match = "public.orders") => ({ tables: [{ match, where: condition }] });

    test("come with the rows that meet it; one that no longer does is deleted, one that does from now on created", async () => {
      await query("alter table orders replica identity full");
      const { reading } = await begin(where("tenant = 1"));
      await query("insert into orders values (1, 'a', 1), (2, 'b', 2)");
      await query("update orders set tenant = 3 where id = 1");
      await query("update orders set tenant = 1 where id = 2");

      expect((await reading.rows(3)).map(({ op, key }) => [op, key])).toEqual([
        ["created", { id: 1 }],
        ["deleted", { id: 1 }],
        ["created", { id: 2 }],
      ]);
      await reading.stop();
    });

    test("follow it when it changes, behind a marker that says so", async () => {
      const { source, reading } = await begin(where("id < 10"));
      await known(source, 1);
      await waitFor(
        () => (source.memory.value as { published?: { places?: object } }).published?.places !== undefined,
        { what: "the filter on record" },
      );
      await query("insert into orders values (1), (11)");
      await reading.rows(1);
      await reading.stop();
      const again = await fixture.reopen(source, { options: { ...options, ...where("id > 10") } });
      const second = new Reading(again, reading.last);
      await query("insert into orders values (2), (12)");

      expect(await second.rows(1)).toMatchObject([{ key: { id: 12 } }]);
      await second.until(() => gaps(second).length > 0, "the marker");
      expect(gaps(second)).toMatchObject([{ code: "ROW_FILTER_CHANGED", collections: ["public.orders"] }]);
      await second.stop();
    });

    test.each([
      ["that reads a column beside the key", "tenant = 1", /public\.orders: tenant.*UPDATE and DELETE/],
      ["that reads a column the key's index only includes", "extra = 1", /public\.orders: extra.*UPDATE and DELETE/],
      ["that is no condition", "tenant =", /syntax error/],
      ["on a column that is not there", "tenat = 1", /tenat/],
      ["with a function that is not immutable", "id < extract(epoch from now())", /WHERE expression/],
    ])("%s are refused, and the application's writes are as they were", async (_, condition, message) => {
      await query("alter table orders drop constraint orders_pkey, add extra int");
      await query("alter table orders add primary key (id) include (extra)");
      const error = await failureOf(fixture.open({ options: { ...options, ...where(condition) } }));

      expect(error).toMatchObject({
        name: "ConfigError",
        code: "ROW_FILTER_REFUSED",
        message: expect.stringMatching(message),
      });
      expect(await fixture.published()).toBe("");
      await query("insert into orders values (1, 'a', 1); update orders set tenant = 2; delete from orders");
    });

    test("are refused for a partitioned table unless its primary key alone is read: partitions may come", async () => {
      await query("create table parts(id int, day int, note text, primary key (id, day)) partition by range (day)");
      await query("create table parts_1 partition of parts for values from (0) to (10)");
      await query("alter table parts replica identity full; alter table parts_1 replica identity full");
      const error = await failureOf(fixture.open({ options: { ...options, ...where("note = 'x'", "public.parts") } }));
      expect(error).toMatchObject({ code: "ROW_FILTER_REFUSED" });

      const { reading } = await begin(where("day < 15", "public.parts"));
      await query("create table parts_2 partition of parts for values from (10) to (20)");
      await query("insert into parts values (1, 5), (2, 17), (3, 12); update parts set note = 'x'");
      expect((await reading.rows(4)).map(({ op, key }) => [op, key])).toEqual([
        ["created", { id: 1, day: 5 }],
        ["created", { id: 3, day: 12 }],
        ["updated", { id: 1, day: 5 }],
        ["updated", { id: 3, day: 12 }],
      ]);
      await reading.stop();
    });

    test.each([
      ["a condition", { where: "id < 10" }],
      ["a mask", { mask: { id: "hash" } }],
    ])("or %s of a partition are refused where its rows come under its root", async (_, of) => {
      await query("create table parts(id int primary key) partition by range (id)");
      await query("create table parts_1 partition of parts for values from (0) to (10)");
      const open = (...tables: readonly unknown[]) =>
        fixture.open({ options: { ...options, maskKey: "a-key-of-the-test", tables } });
      const item = { match: "public.*_1", ...of };

      expect(await failureOf(open("public.*", item))).toMatchObject({
        name: "ConfigError",
        code: "TABLE_OPTIONS_IGNORED",
        message: expect.stringMatching(/"public\.\*_1".*public\.parts_1 come under public\.parts$/),
      });
      await open("public.*", "!public.parts", item);
    });

    test("are refused where the publication is another's and has none", async () => {
      await query("create publication theirs for table orders");
      const open = (condition: string) =>
        fixture.open({ options: { ...options, publication: "theirs", ...where(condition) } });

      expect(await failureOf(open("id < 10"))).toMatchObject({ code: "ROW_FILTER_REFUSED" });
      await query("alter publication theirs set table orders where (id < 10)");
      await open("id < 10");
    });
  });
});
