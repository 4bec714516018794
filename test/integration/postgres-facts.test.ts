// Facts about the log that a decoder must be built around: each test fails for one that is built as if it were not so.

import { describe, expect, test } from "vitest";
import type { Position } from "../../src/event/position.ts";
import { postgresFixture } from "../support/postgres-fixture.ts";
import { Reading } from "../support/postgres-reader.ts";
import { missing } from "../support/servers.ts";

/** Of a position: the change's LSN. */
const changeOf = (position: Position): string | undefined => position.split(".")[2];

describe.skipIf(missing("postgres"))("the log", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text)");

  test("gives all rows of a COPY one LSN, and a restart behind the third goes on with the fourth", async () => {
    const { source, reading } = await fixture.begin();
    await fixture.database.query("copy orders(id) from program 'seq 1 5'");
    await reading.rows(5);
    await reading.stop();
    const events = reading.events.filter(({ subject }) => subject.startsWith("cdc."));
    const third = events[2];

    const again = new Reading(source, third?.position);
    await again.rows(2);
    await again.stop();

    expect(new Set(events.map(({ position }) => changeOf(position))).size).toBe(1);
    expect(new Set(events.map(({ position }) => position)).size).toBe(5);
    expect(again.events.filter(({ subject }) => subject.startsWith("cdc."))).toEqual(events.slice(3));
  });

  test("flags every column as key under full identity, and an event's key is the primary key alone", async () => {
    await fixture.database.query(`
      create table whole(note text, b int, a int, primary key (b, a)); alter table whole replica identity full;
      create table keyless(note text); alter table keyless replica identity full`);
    const { reading } = await fixture.begin();

    await fixture.database.query(`
      insert into whole values ('x', 1, 2); update whole set note = 'y'; delete from whole;
      insert into keyless values ('x')`);

    const bodies = await reading.rows(4);
    await reading.stop();
    expect(bodies.map(({ op, key }) => [op, key])).toEqual([
      ["created", { a: 2, b: 1 }],
      ["updated", { a: 2, b: 1 }],
      ["deleted", { a: 2, b: 1 }],
      ["created", null],
    ]);
  });

  test("comes in buffers that are used again, and what was read first is still right when the last is read", async () => {
    const { reading } = await fixture.begin();
    const rows = 400;

    await fixture.database.query(
      `insert into orders select g, repeat(md5(g::text), 100) from generate_series(1, ${rows}) g`,
    );

    const bodies = await reading.rows(rows);
    await reading.stop();
    const expected = await fixture.database.query("select id, status from orders order by id");
    expect(bodies.map(({ after }) => after)).toEqual(expected);
  });
});
