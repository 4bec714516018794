// What `check` finds of an outbox, each with the SQL that mends it.

import { describe, expect, test } from "vitest";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { outboxFindings } from "../../../src/source/postgres/check-outbox.ts";
import { parsePostgresConfig } from "../../../src/source/postgres/config.ts";
import { Session } from "../../../src/source/postgres/session.ts";
import { failureOf, openShop } from "../../support/postgres-reader.ts";
import { type Database, freshDatabase, missing } from "../../support/servers.ts";

async function codes(database: Database, outbox: unknown, user = "postgres"): Promise<readonly (readonly string[])[]> {
  const url = database.url.replace(/\/\/[^@]*@/, `//${user}@`);
  await using session = new Session({ connectionString: url });
  const findings = await outboxFindings(session, parsePostgresConfig({ url, outbox }, "sources.shop"));
  return findings.map(({ level, code, fix = "" }) => [level, code, fix]);
}

describe.skipIf(missing("postgres"))("an outbox", () => {
  test("as the migrations make it is fine, and none is no matter", async () => {
    await using database = await freshDatabase();
    await database.query(migrationSql("outbox"));

    expect(await codes(database, true)).toEqual([["ok", "OUTBOX", ""]]);
    expect(await codes(database, false)).toEqual([]);
  });

  test("without a column that is needed is refused", async () => {
    await using database = await freshDatabase();
    await database.query("create table public.events(id uuid primary key, type text)");

    const [finding] = await codes(database, { table: "public.events" });
    expect(finding?.slice(0, 2)).toEqual(["fail", "OUTBOX_COLUMNS_MISSING"]);
    const options = { tables: ["public.*"], outbox: { table: "public.events" } };
    expect(await failureOf(openShop(database.url, { options }))).toMatchObject({ code: "OUTBOX_COLUMNS_MISSING" });
  });

  test("whose rows the worker may not delete is refused, until it may", async () => {
    await using database = await freshDatabase();
    await database.query(`${migrationSql("outbox")}; create role cleaner login replication; create table public.item(id int primary key);
      create publication millrace_shop for table public.item, millrace.outbox;
      alter database ${new URL(database.url).pathname.slice(1)} set millrace.outbox = 'keep'`);
    const [[level, code, fix] = []] = await codes(database, { keep: "7d" }, "cleaner");
    const url = database.url.replace("postgres@", "cleaner@");
    const start = await failureOf(openShop(url, { options: { outbox: { keep: "7d" } } }));
    const without = await openShop(url, { options: { outbox: true } });
    await without[Symbol.asyncDispose]();
    await database.query(fix ?? "");
    const after = await codes(database, { keep: "7d" }, "cleaner");
    await database.query("drop owned by cleaner; drop role cleaner");

    expect([level, code]).toEqual(["fail", "OUTBOX_CLEAN_UP"]);
    expect(start).toMatchObject({ code: "OUTBOX_CLEAN_UP", hint: expect.stringContaining("GRANT USAGE ON SCHEMA") });
    expect(after).toEqual([["ok", "OUTBOX", ""]]);
  });

  test("whose database is set otherwise is warned of, until it is set", async () => {
    await using database = await freshDatabase();
    await database.query(migrationSql("outbox"));
    const found = await codes(database, { mode: "message" });
    await database.query(found[0]?.[2] ?? "");

    expect(found.map(([level, code]) => [level, code])).toEqual([["warn", "OUTBOX_SETTING"]]);
    expect(await codes(database, { mode: "message" })).toEqual([]);
  });
});
