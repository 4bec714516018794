// The names of attributes of rows within columns, around ALTER TYPE: those of the moment when a row was written, or its text.

import { describe, expect, test } from "vitest";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { Reading } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";

const setUp = `create type addr as (zip text, city text);
  create domain home as addr; create type span as range (subtype = addr); create type person as (name text, at addr);
  create table rows_of(zip text, city text); create type mood as enum ('sad', 'glad');
  create table orders(id int primary key, one addr, many addr[], dom home, range span, deep person, made rows_of, mood mood);
  create table plain(id int primary key)`;

/** Each value says which attribute it was written for. */
const insert = (id: number, first: string, second: string): string => {
  const row = `row('${first}', '${second}')`;
  return `insert into orders values (${id}, ${row}, array[${row}::addr], ${row}, span(${row}, null), row('name', ${row}), ${row}, 'sad')`;
};

type Body = Readonly<Record<string, unknown>>;

/** Whether every attribute in it has the name that its value says, and every row within it is that or its text. */
function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isTrue);
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([name, inner]) =>
    typeof inner === "object" ? isTrue(inner) : name === "bounds" || inner === name || /^\(/.test(String(inner)),
  );
}

const columns = ({ after }: Body): readonly unknown[] => {
  const { one, many, dom, range, deep, made } = after as Body;
  return [one, many, dom, range, deep, made];
};

const both = (sql: (relation: string) => string) => `${sql("type addr")}; ${sql("table rows_of")}`;
const renamed = both((of) => `alter ${of} rename ${of.startsWith("type") ? "attribute" : "column"} zip to postcode`);

describe.skipIf(missing("postgres"))("attributes of rows within columns", () => {
  const fixture = postgresFixture(setUp);
  const tables = { options: { tables: ["public.orders", "public.plain"] } };
  const query = (sql: string) => fixture.database.query(sql);

  test.each<[string, string, [string, string]]>([
    ["renamed", renamed, ["postcode", "city"]],
    [
      "dropped and another one added",
      "alter type addr drop attribute zip, add attribute road text; alter table rows_of drop column zip; alter table rows_of add road text",
      ["city", "road"],
    ],
    [
      "swapped by their names",
      both((of) => {
        const what = of.startsWith("type") ? "attribute" : "column";
        return `alter ${of} rename ${what} zip to x; alter ${of} rename ${what} city to zip; alter ${of} rename ${what} x to city`;
      }),
      ["city", "zip"],
    ],
  ])("%s have the name of their time, and after a while all of them", async (_, alter, [first, second]) => {
    const { reading } = await fixture.begin(tables);
    await query(insert(1, "zip", "city"));
    const [before] = await reading.rows(1);
    expect(columns(before as Body)[0]).toEqual({ zip: "zip", city: "city" });

    await query(`begin; ${insert(2, "zip", "city")}; ${alter}; ${insert(3, first, second)}; commit`);
    let id = 4;
    const settled = (): boolean =>
      typeof columns(reading.bodies.at(-1) as Body)[0] === "object" && reading.bodies.length > 3;
    while (!settled()) {
      await query(insert(id, first, second));
      await reading.rows(id++);
    }

    for (const body of reading.bodies)
      for (const column of columns(body)) expect([body, isTrue(column)]).toEqual([body, true]);
    expect(columns(reading.bodies.at(-1) as Body)).toEqual([
      { [first]: first, [second]: second },
      [{ [first]: first, [second]: second }],
      { [first]: first, [second]: second },
      { lower: { [first]: first, [second]: second }, upper: null, bounds: "[)" },
      { name: "name", at: { [first]: first, [second]: second } },
      { [first]: first, [second]: second },
    ]);
    await reading.stop();
  });

  test("of rows that wait to be read while the names change are the text that Postgres prints, and the stream is told", async () => {
    const { reading } = await fixture.begin(tables);
    await query(insert(1, "zip", "city"));
    await reading.rows(1);
    let goOn = (): void => {};
    reading.pauseUntil(
      new Promise((resolve) => {
        goOn = resolve;
      }),
    );
    await query("insert into plain values (1)");
    await reading.rows(2);
    await query(insert(2, "zip", "city"));
    await query(renamed);
    await query(insert(3, "postcode", "city"));
    goOn();
    const bodies = await reading.rows(4);

    expect(columns(bodies[2] as Body)[0]).toBe("(zip,city)");
    for (const body of bodies.slice(2)) for (const column of columns(body)) expect(isTrue(column)).toBe(true);
    const told = reading.announcements.map(({ data }) => JSON.parse(Buffer.from(data).toString()));
    expect(told.at(-1)).toMatchObject({ collection: "orders", changes: expect.anything() });
    await reading.stop();
  });

  test("changed while nobody read are their names again for all that is written from the start on", async () => {
    const { source, reading } = await fixture.begin(tables);
    await query(insert(1, "zip", "city"));
    await reading.rows(1);
    await reading.acknowledge();
    await reading.stop();
    await query(insert(2, "zip", "city"));
    await query(renamed);
    await query(insert(3, "postcode", "city"));
    const second = new Reading(await fixture.reopen(source, tables), reading.last);
    await second.rows(2);
    await query(insert(4, "postcode", "city"));
    const bodies = await second.rows(3);

    for (const body of bodies) for (const column of columns(body)) expect(isTrue(column)).toBe(true);
    expect(columns(bodies[2] as Body)[0]).toEqual({ postcode: "postcode", city: "city" });
    await second.stop();
  });

  test("are objects from the first row of a table that was made with its type while the source runs", async () => {
    const { reading } = await fixture.begin({ options: { tables: ["public.*", "!public.rows_of"], timeout: "600ms" } });
    await query(
      "create type fresh as (a int, b text); create table later(id int primary key, v fresh); alter publication millrace_shop add table later; insert into later values (1, (1, 'x'))",
    );
    const [row] = await reading.rows(1);

    expect(row).toMatchObject({ after: { id: 1, v: { a: 1, b: "x" } } });
    await reading.stop();
  });

  test("and labels of an enum are those of their time", async () => {
    const { reading } = await fixture.begin(tables);
    await query(insert(1, "zip", "city"));
    await query("alter type mood rename value 'sad' to 'low'");
    await query("insert into orders(id, mood) values (2, 'low')");

    const moods = (await reading.rows(2)).map(({ after }) => (after as Body).mood);
    expect(moods).toEqual(["sad", "low"]);
    await reading.stop();
  });
});
