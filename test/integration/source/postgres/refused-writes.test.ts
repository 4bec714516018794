// A published table whose writes Postgres refuses to the application: the worker never makes one, and undoes what has become one.

import { describe, expect, test } from "vitest";
import { gaps, postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, Reading, type TestSource } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

/** Looked at every 200 ms. */
const options = { timeout: "600ms" };
const VIRTUAL = `create table items(id int primary key, price int, total int generated always as (price * 2) virtual);
  alter table items replica identity full`;

describe.skipIf(missing("postgres"))("a table whose writes would be refused", () => {
  const fixture = postgresFixture("create table orders(id int primary key, note text, v int not null default 0)");
  const query = (sql: string) => fixture.database.query(sql);
  const codes = (source: TestSource) => source.notices().map(({ code }) => code);

  test("is refused at a first start, and nothing is published", async () => {
    await query(VIRTUAL);

    expect(await failureOf(fixture.open())).toMatchObject({ code: "TABLE_WITHOUT_IDENTITY" });
    expect(await fixture.published()).toBe("");
    await query("insert into items values (1, 5); update items set price = 7");
  });

  test("is left out when it is made while the worker runs", async () => {
    const { source, reading } = await fixture.begin({ options });
    await query(VIRTUAL);
    await waitFor(() => source.notices().length > 0, { what: "the notice" });
    await query("insert into items values (1, 5); update items set price = 7; insert into orders values (1)");
    await reading.rows(1);

    expect(codes(source)).toEqual(["TABLE_WITHOUT_IDENTITY"]);
    expect(await fixture.published()).toBe("orders");
    await reading.stop();
  });

  test.each<readonly [what: string, breaking: string, mending: string]>([
    [
      "gets a virtual column under REPLICA IDENTITY FULL",
      "alter table orders add total int generated always as (v * 2) virtual; alter table orders replica identity full",
      "alter table orders replica identity default",
    ],
    ["loses its key", "alter table orders drop constraint orders_pkey", "alter table orders add primary key (id)"],
    [
      "loses the index that is its identity",
      "create unique index by_v on orders(v); alter table orders replica identity using index by_v; drop index by_v",
      "alter table orders replica identity default",
    ],
    [
      "gets a key that may be deferred",
      "alter table orders drop constraint orders_pkey, add primary key (id) deferrable",
      "alter table orders replica identity full",
    ],
    [
      "gets a column list that lacks the key, by somebody",
      "begin; alter publication millrace_shop drop table orders; alter publication millrace_shop add table orders (note); commit",
      "",
    ],
  ])("is taken out of our own publication when it %s, and comes back", async (what, breaking, mending) => {
    const { source, reading } = await fixture.begin({ options: { ...options, onGap: "continue" } });
    await query("insert into orders values (1)");
    await reading.rows(1);
    await query(breaking);
    if (mending !== "") await fixture.untilPublished("");
    await reading.until(() => gaps(reading).some(({ code }) => code === "TABLE_WITHDRAWN"), "the marker");
    await query("update orders set note = 'not in the stream'");
    if (mending !== "") expect(source.notices()).toMatchObject([{ message: expect.stringContaining("public.orders") }]);
    if (mending !== "") await query(mending);
    await reading.until(() => gaps(reading).some(({ code }) => code === "TABLE_ADDED"), `the marker after ${what}`);
    await query("update orders set note = 'in it'");
    await reading.rows(2);

    expect(gaps(reading).filter(({ code }) => code !== "PUBLICATION_ALTERED")).toMatchObject([
      { code: "TABLE_WITHDRAWN", collections: ["public.orders"] },
      { code: "TABLE_ADDED", collections: ["public.orders"] },
    ]);
    expect(source.notices()).toEqual([]);
    await reading.stop();
  });

  test("is taken out by a worker that is killed behind it, and the next one tells of it instead of stopping", async () => {
    const source = await fixture.open({ options });
    const reading = new Reading(source);
    await reading.until(() => source.memory.saves.some((saved) => "published" in saved), "the tables on record");
    await query("alter table orders drop constraint orders_pkey");
    await reading.until(() => gaps(reading).length > 0, "the marker");
    const last = reading.events[0]?.position;
    await reading.stop();
    await query("alter table orders add primary key (id); insert into orders values (1)");
    const again = new Reading(await fixture.reopen(source, { options }), last);
    await again.until(() => gaps(again).length > 1, "both markers");

    expect(gaps(again).map(({ code }) => code)).toEqual(["TABLE_WITHDRAWN", "TABLE_ADDED"]);
    await query("update orders set note = 'x'");
    await again.rows(1);
    await again.stop();
  });

  test("in somebody else's publication is told of all the time, with what to run", async () => {
    await query("create publication theirs for table orders");
    const { source, reading } = await fixture.begin({ options: { ...options, publication: "theirs" } });
    await query(
      "alter table orders add twice int generated always as (v * 2) stored; alter table orders replica identity full",
    );
    await waitFor(() => codes(source).includes("TABLE_WRITES_REFUSED"), { what: "the notice" });
    expect(source.notices()).toMatchObject([{ message: expect.stringContaining("public.orders") }]);
    await query("alter publication theirs set (publish_generated_columns = stored)");
    await waitFor(() => source.notices().length === 0, { what: "no notice" });
    await query("insert into orders values (1); update orders set note = 'x'");
    await reading.rows(2);
    await reading.stop();
  });
});
