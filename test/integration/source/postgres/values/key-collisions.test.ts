// Keys that two rows have for a moment within a transaction: events applied by key, in order, leave the table's rows.

import { describe, expect, test } from "vitest";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import type { Reading } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";

type Body = Readonly<Record<string, unknown>>;

/** As a consumer does it that knows nothing but key and op. */
function applied(bodies: readonly Body[]): unknown[] {
  const rows = new Map<string, unknown>();
  for (const { op, key, after } of bodies) {
    if (op === "truncated") rows.clear();
    else if (op === "deleted") rows.delete(JSON.stringify(key));
    else rows.set(JSON.stringify(key), after);
  }
  return [...rows.values()].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

describe.skipIf(missing("postgres"))("keys that collide within a transaction", () => {
  const fixture = postgresFixture(`create table def(id int, v int, primary key (id) deferrable initially deferred);
    create table parts(id int, v int, primary key (id) deferrable initially deferred) partition by range (id);
    create table parts_1 partition of parts for values from (-1000) to (10);
    create table parts_2 partition of parts for values from (10) to (100000);
    alter table def replica identity full; alter table parts replica identity full;
    alter table parts_1 replica identity full; alter table parts_2 replica identity full;
    create table ends(id int primary key)`);
  let ends = 0;
  const settle = async (reading: Reading): Promise<readonly Body[]> => {
    await fixture.database.query(`insert into ends values (${++ends})`);
    const isEnd = ({ after }: Body): boolean => Object.keys((after as Body | null) ?? {}).length === 1;
    await reading.until(() => reading.bodies.some((body) => isEnd(body) && (body.key as Body).id === ends), "the end");
    return reading.bodies.filter((body) => !isEnd(body));
  };
  const rowsOf = async (table: string) =>
    (await fixture.database.query<Record<string, unknown>>(`select id, v from ${table}`)).sort((a, b) =>
      JSON.stringify(a) < JSON.stringify(b) ? -1 : 1,
    );
  const fill = "insert into T select n, 100 + n from generate_series(1, 20) n";

  test.each([
    ["a swap", "update T set id = 3 - id where id < 3"],
    ["a rotation of three", "update T set id = case id when 1 then 2 when 2 then 3 else 1 end where id <= 3"],
    ["a shift up", "update T set id = id + 1"],
    ["a shift down", "update T set id = id - 1"],
    ["a permutation, there and back", "update T set id = 21 - id; update T set v = v + 1; update T set id = 21 - id"],
    ["one row through several keys", "update T set id = 50 where id = 1; update T set id = 60 where id = 50"],
    [
      "one that comes before the one it takes the place of goes",
      "insert into T values (5, 0); delete from T where v = 105",
    ],
    [
      "one that is changed before it goes",
      "insert into T values (5, 0); update T set v = 1 where v = 105; delete from T where v = 1",
    ],
    [
      "one that comes and goes",
      "insert into T values (70, 0); update T set v = 1 where id = 70; delete from T where id = 70",
    ],
    [
      "a shift that is rolled back, and another",
      "savepoint s; update T set id = id + 1; rollback to s; update T set id = id + 2",
    ],
    [
      "an emptied table",
      "update T set id = id + 1; set constraints all immediate; truncate T; insert into T values (1, 1)",
    ],
    [
      "a table that is altered meanwhile",
      "insert into T values (70, 0); alter table T add w int default 7; delete from T where id = 70; alter table T drop w",
    ],
  ])("leave the table's rows: %s", async (_, sql) => {
    const { reading } = await fixture.begin({ options: { tables: ["public.def", "public.parts", "public.ends"] } });
    for (const table of ["def", "parts"]) {
      await fixture.database.query(fill.replaceAll("T", table));
      const before = (await settle(reading)).length;
      await fixture.database.query(`begin; ${sql.replace(/\bT\b/g, table)}; commit`);
      const bodies = await settle(reading);

      expect(applied(bodies.filter(({ op }) => op !== undefined).slice(table === "def" ? 0 : before - 20))).toEqual(
        await rowsOf(table),
      );
    }
    await reading.stop();
  });

  test("tell of a swap as what they are: who came under which key, from where", async () => {
    const { reading } = await fixture.begin({ options: { tables: ["public.def", "public.ends"] } });
    await fixture.database.query("insert into def values (1, 1), (2, 2)");
    await fixture.database.query("update def set id = 3 - id");
    const told = (await settle(reading))
      .slice(2)
      .map(({ op, key, movedTo, movedFrom }) => ({ op, key, movedTo, movedFrom }));

    expect(told).toEqual([
      { op: "deleted", key: { id: 1 }, movedTo: { id: 2 } },
      { op: "created", key: { id: 2 }, movedFrom: { id: 1 } },
      { op: "created", key: { id: 1 }, movedFrom: { id: 2 } },
    ]);
    await reading.stop();
  });
});
