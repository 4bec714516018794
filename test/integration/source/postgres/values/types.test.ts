// The golden corpus on the installed Postgres: each value as it was read through by hand, and as Postgres' own SQL has it.

import { describe, expect, test } from "vitest";
import { assertGolden } from "../../../../support/check/golden-file.ts";
import { deliverCorpus, HOSTILE } from "../../../../support/check/golden-types.ts";
import { openShop, Reading } from "../../../../support/postgres/reader.ts";
import { type Database, freshDatabase, missing } from "../../../../support/servers.ts";

describe.skipIf(missing("postgres"))("every type", () => {
  test.each([
    ["an ordinary role", {}],
    ["a role whose settings change what Postgres prints", HOSTILE],
  ])("is delivered as its golden value to %s", async (_, settings) => {
    await using database = await freshDatabase();

    assertGolden(await deliverCorpus(database, settings));
  });
});

describe.skipIf(missing("postgres"))("a type that is not what it was when the log was written", () => {
  /** `v` of each row: some are written and then the catalog is changed while nobody reads, the others come behind. */
  async function delivered(database: Database, before: string, change: string, behind: string): Promise<unknown[]> {
    await database.query(before);
    const source = await openShop(database.url);
    const first = new Reading(source);
    await first.until(() => first.events.length > 0, "the first marker");
    await first.stop();
    await source[Symbol.asyncDispose]();
    await database.query(change);
    await database.query(behind);
    const again = await openShop(database.url, { memory: source.memory });
    const reading = new Reading(again);
    const rows = await reading.rows(2);
    await reading.stop();
    await again[Symbol.asyncDispose]();
    return rows.map(({ after }) => (after as { v?: unknown }).v);
  }

  test("and was dropped is text, whatever was made of it", async () => {
    await using database = await freshDatabase();

    const values = await delivered(
      database,
      `create type pair as (a int, b text);
       create table t (id int primary key, v pair[]); create table keep (id int primary key, v int)`,
      `insert into t values (1, '{"(1,x)",NULL}'); alter table t drop column v; drop type pair`,
      "insert into keep values (2, 2)",
    );

    expect(values).toEqual(['{"(1,x)",NULL}', 2]);
  });

  test("and has other attributes now is text for all that was written before they were looked at", async () => {
    await using database = await freshDatabase();

    const values = await delivered(
      database,
      "create type pair as (a int, b text); create table t (id int primary key, v pair)",
      "insert into t values (1, '(1,x)'); alter type pair add attribute c boolean",
      "insert into t values (2, '(1,x,t)')",
    );

    expect(values).toEqual(["(1,x)", "(1,x,t)"]);
  });

  test("and whose table was dropped with it is text, not an error", async () => {
    await using database = await freshDatabase();

    const values = await delivered(
      database,
      `create domain amount as numeric; create type pair as (a int, b text); create table keep (id int primary key, v int);
       create table t (id int primary key, v pair, w amount)`,
      "insert into t values (1, '(1,x)', 5); drop table t; drop type pair; drop domain amount",
      "insert into keep values (2, 2)",
    );

    expect(values).toEqual(["(1,x)", 2]);
  });
});
