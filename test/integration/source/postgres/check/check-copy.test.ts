// What `millrace check` says of rows that the configuration wants to be copied and the worker's role may not read: held against what a
// copy by that role does.

import { describe, expect, test } from "vitest";
import type { MillraceError } from "../../../../../src/errors.ts";
import { sqlOf } from "../../../../../src/telemetry/finding.ts";
import { findingsOf, runFix } from "../../../../support/postgres/findings.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { sliceOf } from "../../../../support/postgres/slices.ts";
import { missing } from "../../../../support/servers.ts";

const INITIAL = { backfill: "initial", tables: ["*.*"] };
const ROLE = '"Copy ""er"""';

describe.skipIf(missing("postgres"))("checking whether rows can be copied", () => {
  const fixture = postgresFixture(`
    do $$ begin
      if not exists (select from pg_roles where rolname = 'Copy "er"') then
        create role ${ROLE} login replication; create role copy_group; grant copy_group to ${ROLE};
      end if;
    end $$;
    alter role ${ROLE} nobypassrls;
    create publication millrace_shop for all tables with (publish_via_partition_root);
    create table orders(id int primary key, total int);
    insert into orders values (1, 2)`);
  const url = (): string => fixture.database.url.replace("postgres@", "Copy%20%22er%22@");
  const found = async (options: Record<string, unknown> = INITIAL, copied: Record<string, string> = {}) =>
    (await findingsOf(url(), options, { copied })).filter(({ code }) => code.startsWith("BACKFILL_"));
  /** One source by that role: whether a slice of a table of one row comes, or why not. */
  const copying = async () => {
    const { source, reading } = await fixture.begin({ options: { url: url(), tables: ["*.*"] } });
    const copies = (name: string): Promise<unknown> =>
      sliceOf(source, name).then(
        ({ rows }) => rows.length,
        (error: MillraceError) => error.code,
      );
    return { copies, stop: () => reading.stop() };
  };

  test("what it may not read, and a schema that it may not use, are told once for all, and what is printed mends both", async () => {
    await fixture.database.query(`create schema "Odd one"; create table "Odd one"."a ""b"""(id int primary key);
      insert into "Odd one"."a ""b""" values (1); create table more(id int primary key)`);
    const { copies, stop } = await copying();
    const [finding, ...others] = await found();

    expect(others).toEqual([]);
    expect(finding).toMatchObject({ level: "warn", code: "BACKFILL_NOT_GRANTED" });
    expect(finding?.message).toContain('SELECT on Odd one.a "b", public.more, public.orders');
    expect(finding?.message).toContain("USAGE on the schema Odd one");
    expect(sqlOf(finding?.fix)).toHaveLength(2);
    expect(await copies('a "b"')).toBe("PERMISSION_MISSING");
    await runFix(fixture.database, finding?.fix);
    expect(await found()).toEqual([]);
    expect(await copies('a "b"')).toBe(1);
    await stop();
  });

  test("of a table whose key is of a type that lies elsewhere it needs USAGE there too", async () => {
    await fixture.database.query(`create schema apart; create type apart.kind as enum ('a', 'b');
      create table sorts(id apart.kind primary key); insert into sorts values ('a'); grant select on sorts, orders to ${ROLE}`);
    const { copies, stop } = await copying();
    const [finding] = await found();

    expect(finding?.message).toContain("USAGE on the schema apart: ");
    expect(finding?.fix).toBe(`GRANT USAGE ON SCHEMA "apart" TO ${ROLE};`);
    expect(await copies("sorts")).toBe("PERMISSION_MISSING");
    await runFix(fixture.database, finding?.fix);
    expect(await found()).toEqual([]);
    expect(await copies("sorts")).toBe(1);
    await stop();
  });

  test("row level security is told where it hides rows: not of an owner, unless it is forced, nor of who may pass it by", async () => {
    await fixture.database.query(`grant select on orders to ${ROLE}; alter table orders enable row level security`);
    const { copies, stop } = await copying();
    const [finding, ...others] = await found();
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ level: "warn", code: "BACKFILL_ROW_SECURITY" });
    expect(finding?.message).toContain("public.orders");
    expect(await copies("orders")).toBe("BACKFILL_REFUSED");
    await runFix(fixture.database, finding?.fix);
    expect(await found()).toEqual([]);
    expect(await copies("orders")).toBe(1);

    await fixture.database.query(`alter role ${ROLE} nobypassrls; alter table orders owner to copy_group`);
    expect(await found()).toEqual([]);
    expect(await copies("orders")).toBe(1);
    await fixture.database.query("alter table orders force row level security");
    expect(await found()).toMatchObject([{ code: "BACKFILL_ROW_SECURITY" }]);
    expect(await copies("orders")).toBe("BACKFILL_REFUSED");
    await stop();
  });

  test("it says what a copy does, however the role has its rights", async () => {
    const cases: readonly (readonly [grant: string, revoke: string, code: "PERMISSION_MISSING" | undefined])[] = [
      [`alter role ${ROLE} superuser`, `alter role ${ROLE} nosuperuser`, undefined],
      ["grant select on orders to copy_group", "revoke all on orders from copy_group", undefined],
      ["grant select on orders to public", "revoke all on orders from public", undefined],
      [`grant pg_read_all_data to ${ROLE}`, `revoke pg_read_all_data from ${ROLE}`, undefined],
      // Of all columns, and still it may not lock the table.
      [`grant select (id, total) on orders to ${ROLE}`, "", "PERMISSION_MISSING"],
      [`grant update on orders to ${ROLE}`, `revoke all on orders from ${ROLE}`, undefined],
      [`grant select (id), update on orders to ${ROLE}`, `revoke all on orders from ${ROLE}`, "PERMISSION_MISSING"],
      [`grant insert, update, delete on orders to ${ROLE}`, "", "PERMISSION_MISSING"],
    ];
    const { copies, stop } = await copying();
    for (const [grant, revoke, code] of cases) {
      await fixture.database.query(grant);
      const said = (await found()).map((finding) => finding.code);
      expect([grant, said, await copies("orders")]).toEqual([
        grant,
        code === undefined ? [] : ["BACKFILL_NOT_GRANTED"],
        code ?? 1,
      ]);
      if (revoke !== "") await fixture.database.query(revoke);
    }
    await stop();
  });

  test("it is said of what the configuration wants to be copied alone: by a table, behind a gap, and not once it is copied", async () => {
    await fixture.database.query("create table log(id int primary key)");
    const tables = ["*.*", { match: "public.log", backfill: "initial" }];
    const oid = String(await fixture.value("select 'log'::regclass::oid::int8"));

    expect(await found({ tables: ["*.*"] })).toEqual([]);
    const [one] = await found({ tables });
    expect(one?.message).toContain('SELECT on public.log: a copy of existing rows (backfill: "initial")');
    expect(await found({ tables }, { [oid]: "public.log" })).toEqual([]);
    const [all] = await found({ tables, onGap: "backfill" }, { [oid]: "public.log" });
    expect(all?.message).toContain('SELECT on public.log, public.orders: a copy of existing rows (onGap: "backfill")');
  });
});
