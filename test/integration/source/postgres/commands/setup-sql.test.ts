// What `millrace sql` prints, run on a real server: with it, and no more, the source starts.

import { describe, expect, test } from "vitest";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { publicationSql, roleSql } from "../../../../../src/source/postgres/commands/setup-sql.ts";
import { parsePostgresConfig } from "../../../../../src/source/postgres/options/config.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { openShop, Reading } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";

const SHOP = "shop" as SourceId;

describe.skipIf(missing("postgres"))("the SQL for a DBA", () => {
  const fixture = postgresFixture(
    `create table "Odd ""one"(id int primary key); create table orders(id int primary key)`,
  );
  const run = async (lines: readonly string[]): Promise<void> => {
    for (const line of lines) await fixture.database.query(line);
  };
  const publication = (options: Record<string, unknown> = {}): Promise<readonly string[]> =>
    publicationSql(SHOP, parsePostgresConfig({ url: fixture.database.url, ...options }, "sources.shop"));

  test("a source starts with the printed role and publication, and reads what it was not granted to select", async () => {
    await fixture.database.query(`drop role if exists "The ""worker"`);
    const url = fixture.database.url.replace("postgres@", "The%20%22worker@");

    await run([...roleSql({ url }), ...(await publication())]);
    await using source = await openShop(url);
    const reading = new Reading(source);
    await reading.until(() => reading.events.length > 0, "the first marker");
    await fixture.database.query(`insert into "Odd ""one" values (7)`);
    await reading.until(() => reading.events.length > 1, "the row");
    await reading.stop();
    const rights = `select has_table_privilege('The "worker', 'orders', 'select') as may`;
    expect(await fixture.value(rights)).toBe(false);
  });

  test("a role that is to look values up is granted the tables that are named, and told of those that a * stands for", async () => {
    await fixture.database.query(`drop role if exists reader; insert into orders values (1)`);
    const url = fixture.database.url.replace("postgres@", "reader@");
    const tables = [{ match: '"public"."Odd ""one"', toast: "reselect" }, "public.orders"];
    const options = { tables };

    await run([...roleSql(parsePostgresConfig({ url, ...options }, "sources.shop")), ...(await publication(options))]);
    await using source = await openShop(url, { options });

    expect(source.notices()).toEqual([]);
    const rights = `select has_table_privilege('reader', '"Odd ""one"', 'select') as one, has_table_privilege('reader', 'orders', 'select') as other`;
    expect(await fixture.database.query(rights)).toEqual([{ one: true, other: false }]);
    const open = parsePostgresConfig({ url, tables: [{ match: "public.o*", toast: "reselect" }] }, "sources.shop");
    expect(roleSql(open).at(-1)).toBe('-- the GRANT for each table of "public.o*": npx millrace check');
  });

  test("the role of a url that is the administrator's own is millrace", () => {
    expect(roleSql({ url: "postgres://postgres@db/app" })[0]).toContain('CREATE ROLE "millrace" LOGIN REPLICATION;');
  });

  test("nothing is changed by printing it, and an existing publication gets only what it lacks", async () => {
    await publication();
    expect(await fixture.value("select count(*)::int from pg_publication")).toBe(0);

    await fixture.database.query("create publication millrace_shop for table orders with (publish = 'insert')");
    await run(await publication());
    expect(await publication()).toEqual(["-- the publication millrace_shop lacks nothing"]);
  });

  test("no SQL is printed that would break the application's updates", async () => {
    await fixture.database.query("create table bad(id int)");

    await expect(publication()).rejects.toMatchObject({ code: "TABLE_WITHOUT_IDENTITY" });
  });
});
