// Rows that come into a table or go without a change in the log: each kind is a marker, once, through restarts too.

import { describe, expect, test } from "vitest";
import { gaps, postgresFixture } from "../../../support/postgres/fixture.ts";
import { Reading, type TestSource } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

/** Looked at every 200 ms. */
const options = { timeout: "600ms", tables: ["public.*"] };
const ROOT = `create table ev(id int primary key, note text) partition by range (id);
  create table ev1 partition of ev for values from (0) to (10);
  create table ev2 partition of ev for values from (10) to (20);
  create table few(id int primary key, n int) partition by range (id);
  create table tight(id int primary key, n int not null default 1) partition by range (id);
  create table orders(id int primary key, v int);
  insert into ev values (1), (11); insert into orders values (1)`;

describe.skipIf(missing("postgres"))("rows that come or go without an event", () => {
  const fixture = postgresFixture(ROOT);
  const query = (sql: string) => fixture.database.query(sql);
  const placesOf = (source: TestSource): unknown =>
    (source.memory.value as { published?: { places?: object } }).published?.places;
  const begin = async (more: Record<string, unknown> = {}) => {
    const begun = await fixture.begin({ options: { ...options, ...more } });
    await waitFor(() => placesOf(begun.source) !== undefined, { what: "the places on record" });
    return begun;
  };

  test.each<[what: string, sql: string, gap: object, also: readonly string[]]>([
    [
      "a partition is truncated",
      "truncate ev1",
      { code: "PARTITION_TRUNCATED", reason: expect.stringContaining("public.ev1"), collections: ["public.ev"] },
      [],
    ],
    [
      "a partition is dropped",
      "drop table ev2",
      {
        code: "PARTITION_DETACHED",
        reason: expect.stringMatching(/public\.ev2 was dropped/),
        collections: ["public.ev"],
      },
      [],
    ],
    [
      "a partition is detached, with the estimate of its rows",
      "analyze ev2; alter table ev detach partition ev2",
      {
        code: "PARTITION_DETACHED",
        reason: expect.stringMatching(/public\.ev2 \(about 1 rows, by the estimate.*\) was detached/),
        collections: ["public.ev"],
      },
      ["TABLE_ADDED"], // it is a table of its own now, which the pattern names
    ],
    [
      "a table is filled and attached in one transaction",
      "begin; create table ev3(like ev including all); insert into ev3 values (21); alter table ev attach partition ev3 for values from (20) to (30); commit",
      { code: "PARTITION_ATTACHED", reason: expect.stringContaining("public.ev3"), collections: ["public.ev"] },
      [],
    ],
    [
      "the same is done with as few commands as can be",
      "begin; create table few1(id int not null, n int); insert into few1 values (1, 1); alter table few attach partition few1 for values from (0) to (10); commit",
      { code: "PARTITION_ATTACHED", reason: expect.stringContaining("public.few1"), collections: ["public.few"] },
      [],
    ],
    [
      "a filled and partitioned table is attached",
      "create table other.ev4(like ev including all) partition by range (id); create table other.ev4a partition of other.ev4 for values from (40) to (45); insert into other.ev4 values (41); alter table ev attach partition other.ev4 for values from (40) to (50)",
      { code: "PARTITION_ATTACHED", reason: expect.stringMatching(/^other\.ev4 became/), collections: ["public.ev"] },
      [],
    ],
    [
      "a partition is taken off and put back with other rows",
      "begin; alter table ev detach partition ev2; delete from ev2; insert into ev2 values (12); alter table ev attach partition ev2 for values from (10) to (20); commit",
      { code: "PARTITION_ATTACHED", reason: expect.stringContaining("public.ev2"), collections: ["public.ev"] },
      [],
    ],
    [
      "a table is renamed within the pattern",
      "alter table orders rename to former",
      { code: "TABLE_RENAMED", collections: ["public.orders", "public.former"] },
      [],
    ],
    [
      "a table is moved out of the pattern",
      "alter table orders set schema other",
      {
        code: "TABLE_RENAMED",
        reason: expect.stringContaining("renamed to other.orders, which tables does not name"),
        collections: ["public.orders"],
      },
      [],
    ],
    ["a table is dropped", "drop table orders", { code: "TABLE_DROPPED", collections: ["public.orders"] }, []],
  ])("are one marker when %s, and none more behind a restart", async (_, sql, gap, also) => {
    await query("create schema other");
    const { source, reading } = await begin();
    await query(sql);
    await reading.until(() => gaps(reading).length > also.length, "the marker");
    expect(gaps(reading)).toMatchObject([gap, ...also.map((code) => ({ code }))]);
    const before = JSON.stringify(placesOf(source));
    await query("insert into ev values (5)");
    await reading.until(async () => {
      await reading.acknowledge();
      return JSON.stringify(placesOf(source)) !== before;
    }, "what was told to be on record");
    await reading.stop();

    const again = new Reading(await fixture.reopen(source, { options }), reading.last);
    await query("insert into ev values (6)");
    await again.rows(1);
    expect(gaps(again)).toEqual([]);
    await again.stop();
  });

  test("are told by the next start when nothing ran meanwhile", async () => {
    await query("create schema other");
    const { source, reading } = await begin();
    await reading.stop();
    await query(`truncate ev1; alter table ev detach partition ev2; alter table ev2 set schema other;
      create table ev3(like ev including all); insert into ev3 values (21);
      alter table ev attach partition ev3 for values from (20) to (30); alter table orders set schema other`);
    const again = new Reading(await fixture.reopen(source, { options }), reading.last);
    await again.until(() => gaps(again).length >= 4, "the markers");

    expect(gaps(again).map(({ code }) => code)).toEqual([
      "PARTITION_DETACHED",
      "PARTITION_TRUNCATED",
      "PARTITION_ATTACHED",
      "TABLE_RENAMED",
    ]);
    await again.stop();
  });

  test("names both when a table that was read under its own name becomes a partition", async () => {
    await query("create table more(like ev including all); insert into more values (31)");
    const { reading } = await begin();
    await query("alter table ev attach partition more for values from (30) to (40)");
    await reading.until(() => gaps(reading).length > 0, "the marker");

    expect(gaps(reading)).toMatchObject([
      {
        code: "PARTITION_ATTACHED",
        collections: ["public.ev", "public.more"],
        reason: expect.stringContaining("rows of public.more come under public.ev"),
      },
    ]);
    await reading.stop();
  });

  test("are none where all of it is told: new partitions with rows, a truncated root, an index, a column", async () => {
    const { source, reading } = await begin();
    const looks = async (): Promise<void> => {
      const before = JSON.stringify(placesOf(source));
      await waitFor(() => JSON.stringify(placesOf(source)) !== before, { what: "another look" });
    };
    await query(`create table ev3 partition of ev (note default 'x', check (id > 0)) for values from (20) to (30);
      insert into ev values (21)`);
    await looks();
    await query(`begin; create table ev4 partition of ev for values from (30) to (50) partition by range (id);
      create table ev4a partition of ev4 for values from (30) to (40); insert into ev values (31); commit`);
    await looks();
    await query(`create table tight1 partition of tight for values from (0) to (10); insert into tight values (1, 1);
      create table few1 partition of few for values from (0) to (10); insert into few values (1, 1)`);
    await looks();
    await query("truncate ev");
    await looks();
    await query("create index on ev (note); alter table ev add column more int; analyze ev; insert into ev values (1)");
    await query("create table seen(id int primary key)");
    await looks();

    expect(gaps(reading)).toEqual([]);
    await reading.stop();
  });

  describe("by a row filter", () => {
    test("that the configuration changes are a marker, and none when it stays", async () => {
      const where = (condition: string) => ({
        options: { ...options, tables: [{ match: "public.orders", where: condition }] },
      });
      const { source, reading } = await begin(where("id < 10").options);
      await reading.stop();
      const same = new Reading(await fixture.reopen(source, where("id < 10")), reading.last);
      await query("insert into orders values (2)");
      await same.rows(1);
      await same.stop();
      const other = new Reading(await fixture.reopen(source, where("id > 10")), same.last);
      await other.until(() => gaps(other).length > 0, "the marker");

      expect([gaps(same), gaps(other)]).toMatchObject([
        [],
        [{ code: "ROW_FILTER_CHANGED", collections: ["public.orders"] }],
      ]);
      await other.stop();
    });

    test("that somebody gives to a publication of theirs are a marker", async () => {
      await query("create publication theirs for table orders");
      const { reading } = await begin({ tables: ["public.orders"], publication: "theirs" });
      await query("alter publication theirs set table orders where (id < 10)");
      await reading.until(() => gaps(reading).length > 0, "the marker");

      expect(gaps(reading)).toMatchObject([{ code: "ROW_FILTER_CHANGED", collections: ["public.orders"] }]);
      await reading.stop();
    });
  });
});
