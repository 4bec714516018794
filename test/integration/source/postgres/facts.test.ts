// Facts about the log that a decoder must be built around: each test fails for one that is built as if it were not so.

import { describe, expect, test } from "vitest";
import { TransientError } from "../../../../src/errors.ts";
import type { Position } from "../../../../src/event/position.ts";
import { parseLsn } from "../../../../src/source/postgres/client/lsn.ts";
import { finalOf } from "../../../../src/source/postgres/client/position.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { failureOf, Reading, TestMemory } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

/** Of a position: the change's LSN. */
const changeOf = (position: Position): string | undefined => position.split(".")[2];

describe.skipIf(missing("postgres"))("the log", () => {
  const fixture = postgresFixture("create table orders(id int primary key, status text)");

  test("puts commits back to back, and a restart between two of them begins with the second", async () => {
    const options = { timeout: "1s" };
    await fixture.database.query("create schema aside; create table aside.hidden(v int)");
    const writer = await fixture.database.connect();
    let { source, reading } = await fixture.begin({ options });
    const told = () =>
      fixture.value("select confirmed_flush_lsn >= $1::pg_lsn from pg_replication_slots where slot_name = $2", [
        end,
        "millrace_shop",
      ]);
    let end = "";
    let adjacent = 0;
    for (let id = 1; id <= 3; id++) {
      await writer.query(`begin; insert into orders values (${id})`);
      await fixture.database.query("insert into aside.hidden values (1)");
      end = String(await fixture.value("select pg_current_wal_insert_lsn()::text"));
      await reading.until(async () => {
        await reading.acknowledge();
        return (await told()) === true;
      }, "the first of the two to be acknowledged");
      await reading.stop();
      await writer.query("commit");

      source = await fixture.reopen(source, { options });
      reading = new Reading(source, reading.last);
      const [row] = await reading.rows(1);
      expect(row).toMatchObject({ key: { id } });
      if (finalOf(reading.events.at(-1)?.position as Position) === parseLsn(end)) adjacent++;
    }
    await reading.stop();
    await writer.end();
    expect(adjacent).toBeGreaterThan(0);
  });

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

  test("goes on behind what could not be taken only once it was: the reading ends before it, and begins with it again", async () => {
    await fixture.database.query("create table notes(id int primary key)");
    const memory = new TestMemory();
    const { put } = memory.schemas;
    const { source, reading } = await fixture.begin({ memory });
    await fixture.database.query("insert into orders values (1)");
    await reading.rows(1);
    const failure = new TransientError("BUS_UNREACHABLE", "the version of notes cannot be kept");
    memory.schemas.put = () => Promise.reject(failure);

    await fixture.database.query("insert into notes values (1)");
    await fixture.database.query("insert into orders values (2)");

    expect(await failureOf(reading.rows(2))).toBe(failure);
    expect(reading.bodies).toHaveLength(1);
    await reading.acknowledge();
    memory.schemas.put = put;
    const again = new Reading(await fixture.reopen(source), reading.last);
    const rows = await again.rows(2);
    await again.stop();
    expect(rows.map(({ after }) => after)).toEqual([{ id: 1 }, { id: 2, status: null }]);
  });

  test("lacks what was written without the publication, and nothing behind that is handed out though it was made again", async () => {
    const { source, reading } = await fixture.begin();
    const looked = () => (source.memory.value as { readonly published?: unknown }).published !== undefined;
    await reading.until(looked, "the first look at the publication"); // the next one is seconds away
    await fixture.database.query("insert into orders values (1)");
    await reading.rows(1);

    await fixture.database.query("drop publication millrace_shop");
    await fixture.database.query("insert into orders values (2)");
    await fixture.database.query("create publication millrace_shop for table orders");
    await fixture.database.query("insert into orders values (3)");

    expect(await failureOf(reading.rows(2))).toMatchObject({ name: "HistoryLostError", code: "PUBLICATION_MISSING" });
    expect(reading.bodies).toHaveLength(1);
  });

  test("of a new slot begins when the publication is there already", async () => {
    const one = (sql: string) => fixture.value(sql);
    const writer = await fixture.database.connect();
    await writer.query("begin; insert into orders values (1)"); // a new slot waits for its end
    const opening = fixture.open();
    const making = () => one("select slot_name from pg_replication_slots where confirmed_flush_lsn is null");
    await waitFor(async () => (await making()) === "millrace_shop", { what: "the slot in the making" });
    const published = await one("select pubname from pg_publication");
    await writer.query("commit");
    await writer.end();
    await opening;

    expect(published).toBe("millrace_shop");
  });
});
