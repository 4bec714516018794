// The event triggers that `sql event-triggers` prints: DDL is told in its own transaction, in the order of the log.

import { describe, expect, test } from "vitest";
import { eventTriggerSql } from "../../../../../src/source/postgres/commands/event-trigger-sql.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { missing } from "../../../../support/servers.ts";

describe.skipIf(missing("postgres"))("event triggers", () => {
  const fixture = postgresFixture("create table orders(id int primary key, note text)");

  test("tell of each command between the changes before and behind it, and of none that was rolled back", async () => {
    const { reading } = await fixture.begin();
    for (let twice = 0; twice < 2; twice++) await fixture.database.query(eventTriggerSql().join("\n"));
    await fixture.database.query(
      `insert into orders values (1); alter table orders add remark text; alter table orders drop note;
       insert into orders values (2)`,
    );
    await fixture.database.query("begin; create table gone(id int); rollback; create temp table mine(id int)");
    await fixture.database.query(
      "create table more(id int primary key); drop table more; insert into orders values (3)",
    );
    await reading.rows(3);
    const told = reading.events.slice(1).map(({ subject, data }) => {
      const body = JSON.parse(Buffer.from(data).toString()) as { readonly key?: unknown };
      return subject.startsWith("cdc.") ? body.key : body;
    });
    const text = JSON.stringify(told);
    const order = [
      '{"id":1}',
      "ALTER TABLE",
      "public.orders.note",
      '{"id":2}',
      "CREATE TABLE",
      "DROP TABLE",
      '{"id":3}',
    ];
    const places = order.map((what) => text.indexOf(what));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    expect(text).not.toMatch(/gone|mine/);
    await reading.stop();
  });

  const REVOKE = `do $$ declare f regprocedure; begin
    for f in select oid::regprocedure from pg_proc where proname = 'pg_logical_emit_message' loop
      execute format('revoke execute on function %s from public', f); end loop; end $$;`;

  test.each([
    ["may not emit messages", REVOKE],
    [
      "may not, and neither may the functions' owner",
      `${REVOKE} alter function millrace.tell_ddl() owner to migrator; alter function millrace.tell_drop() owner to migrator`,
    ],
  ])("let the DDL of a role go on that %s", async (_, revoking) => {
    await fixture.database.query(
      "drop role if exists migrator; create role migrator; grant create on schema public to migrator",
    );
    await fixture.database.query(eventTriggerSql().join("\n"));
    await fixture.database.query(revoking);
    const { reading } = await fixture.begin();
    await fixture.database.query(`set role migrator; create table made(id int primary key); alter table made add v int;
      drop table made; reset role; insert into orders values (1)`);
    await reading.rows(1);
    const told = reading.events
      .filter(({ subject }) => subject.includes("millrace~2Eddl"))
      .flatMap(({ data }) => /(CREATE|ALTER|DROP) TABLE/.exec(Buffer.from(data).toString())?.[0] ?? []);

    expect([...new Set(told)]).toEqual(
      revoking.includes("alter function") ? [] : ["CREATE TABLE", "ALTER TABLE", "DROP TABLE"],
    );
    await reading.stop();
    await fixture.database.query("drop owned by migrator cascade");
  });
});
