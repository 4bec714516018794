// Keys and names in headers: as exact as in bodies, and never the same for two rows or two tables.

import { describe, expect, test } from "vitest";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { missing } from "../../../../support/servers.ts";

describe.skipIf(missing("postgres"))("the key in ce-subject", () => {
  const fixture = postgresFixture("create table orders(id int primary key)");

  const header = (head: string, name: string): string => new RegExp(`${name}: (.*)\\r`).exec(head)?.[1] ?? "";

  test("is that of one row alone, to the last digit", async () => {
    const keys = [
      "12345678901234567890",
      "12345678901234567891",
      "1",
      '"1"',
      '"null"',
      "null",
      "true",
      '"true"',
      '{"a": [1, "x, y"], "b": 1.10}',
      '"{\\"a\\": 1}"',
    ];
    await fixture.database.query("create table docs(id jsonb primary key)");
    const { reading } = await fixture.begin({ options: { tables: ["public.docs"] } });
    for (const key of keys) await fixture.database.query("insert into docs values ($1)", [key]);
    await reading.rows(keys.length);

    const subjects = reading.events
      .filter(({ subject }) => subject.startsWith("cdc."))
      .map(({ head }) => decodeURIComponent(header(head, "ce-subject")));
    expect(subjects).toEqual(
      keys.map((key) =>
        `public.docs/${key.startsWith("{") ? '{"a":[1,"x%2C y"],"b":1.10}' : key}`.replaceAll("%2C", ","),
      ),
    );
    await reading.stop();
  });

  test.each([
    ["text", ["a,b", "c"], ["a", "b,c"]],
    ["text", ["a/b", "c"], ["a", "b/c"]],
    ["text", ["a%2Cb", "c"], ["a,b", "c"]],
    ["jsonb", ['"1"', "2"], ["1", '"2"']],
    ["text[]", ["{1,2}", "{3}"], ["{1}", "{2,3}"]],
  ])("of two columns of %s tells %j from %j", async (type, one, other) => {
    await fixture.database.query(`create table pairs("2" ${type}, "10" ${type}, primary key ("2", "10"))`);
    const { reading } = await fixture.begin({ options: { tables: ["public.pairs"] } });
    for (const key of [one, other]) await fixture.database.query("insert into pairs values ($1, $2)", key);
    await reading.rows(2);

    const subjects = reading.events
      .filter(({ subject }) => subject.startsWith("cdc."))
      .map(({ head }) => header(head, "ce-subject"));
    expect(new Set(subjects).size).toBe(2);
    await reading.stop();
  });

  test("and the names before it are those of one table alone, and plain names are as they are", async () => {
    await fixture.database.query(`create schema "my.schema"; create schema my; create table "my.schema".t(id text primary key);
      create table my."schema.t"(id text primary key); create table my."a/b"(id text primary key); create table my.a(id text primary key);
      create table my."schema~2Et"(id text primary key); create table my."Odd name, é"(id text primary key)`);
    const { reading } = await fixture.begin({ options: { tables: ["my.*", '"my.schema".*'] } });
    for (const table of ['"my.schema".t', 'my."schema.t"', 'my."a/b"', 'my."schema~2Et"', 'my."Odd name, é"'])
      await fixture.database.query(`insert into ${table} values ('x')`);
    await fixture.database.query("insert into my.a values ('b/x')");
    await reading.rows(6);

    const events = reading.events.filter(({ subject }) => subject.startsWith("cdc."));
    expect(events.map(({ head }) => decodeURIComponent(header(head, "ce-subject")))).toEqual([
      "my~2Eschema.t/x",
      "my.schema~2Et/x",
      "my.a~2Fb/x",
      "my.schema~7E2Et/x",
      "my.Odd name, é/x",
      "my.a/b/x",
    ]);
    expect(new Set(events.map(({ head }) => header(head, "ce-type"))).size).toBe(6);
    await reading.stop();
  });
});

describe.skipIf(missing("postgres"))("a source", () => {
  const fixture = postgresFixture("create table orders(id int primary key)");

  test("reads a transaction for as long as it takes, whatever transaction_timeout is set to", async () => {
    const version = Number(await fixture.value("select current_setting('server_version_num')"));
    const setting = version >= 170_000 ? "transaction_timeout" : "statement_timeout";
    await fixture.database.query(
      `do $$ begin execute format('alter database %I set ${setting} = 20', current_database()); end $$`,
    );
    const { reading } = await fixture.begin();
    await fixture.database.query("insert into orders select n from generate_series(1, 50000) n");

    expect(await reading.rows(50_000)).toHaveLength(50_000);
    await reading.stop();
  });
});
