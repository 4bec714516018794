// The SQL that makes outbox and inbox: whoever runs it, however often, comes to the same tables as drizzle has them.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import * as tables from "../../../src/outbox/schema.ts";
import { inboxTable, outboxTable } from "../../../src/outbox.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { type Database, freshDatabase, missing, scratchDir } from "../../support/servers.ts";

async function check(database: Database): Promise<void> {
  const client = await database.connect();
  const db = drizzle({ client });
  await db.insert(outboxTable).values({ aggregatetype: "a", aggregateid: "1", type: "b", payload: { n: 1 } });
  await db.insert(inboxTable).values({ automation: "a", event_id: "1" });
  expect(await db.select().from(outboxTable)).toMatchObject([{ aggregatetype: "a", payload: { n: 1 }, headers: {} }]);
  expect(await db.select().from(inboxTable)).toMatchObject([{ automation: "a", event_id: "1", run: "" }]);
  await client.query("select millrace.emit('a.b', 'k', '1')");
  await client.end();
}

/** Columns, indexes and constraints of the schema, in words. */
async function shapeOf(database: Database): Promise<readonly unknown[]> {
  const rows = await database.query<{ line: string }>(`
    select c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' ||
      coalesce(pg_get_expr(d.adbin, d.adrelid), '') as line
    from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relkind = 'r'
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'millrace'::regnamespace and a.attnum > 0
    union all select indexdef from pg_indexes where schemaname = 'millrace'
    union all select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'millrace'::regnamespace
    order by 1`);
  return rows.map(({ line }) => line);
}

describe.skipIf(missing("postgres"))("outbox and inbox are made", () => {
  test("by what the command prints, run by four at once and then again", async () => {
    await using database = await freshDatabase();
    const run = async (what: "outbox" | "inbox"): Promise<void> => {
      const client = await database.connect();
      await client.query(migrationSql(what));
      await client.end();
    };
    await Promise.all([run("inbox"), run("outbox"), run("outbox"), run("inbox")]);
    await run("outbox");

    await check(database);
  });

  test("by drizzle's migrator, on top of what was there, and by two at once where its own schema is there", async () => {
    await using database = await freshDatabase();
    await database.query(`${migrationSql("inbox")}; create schema drizzle`);
    const run = async (): Promise<void> => {
      const client = await database.connect();
      const options = { migrationsFolder: "migrations", migrationsTable: "millrace_migrations" };
      await migrate(drizzle({ client }), options);
      await client.end();
    };
    await run();
    await database.query("truncate drizzle.millrace_migrations");
    await Promise.all([run(), run()]);
    await run();

    await check(database);
  });

  test("by the migrations as drizzle would make them of its tables", async () => {
    await using migrated = await freshDatabase();
    await using made = await freshDatabase();
    await migrated.query(`${migrationSql("outbox")}; ${migrationSql("inbox")}`);
    const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(tables));
    await made.query(statements.join(";"));

    const shape = await shapeOf(migrated);
    expect(shape.length).toBeGreaterThan(10);
    expect(await shapeOf(made)).toEqual(shape);
  });

  test("by the command, printed as it is run, with the rights that other roles need", async () => {
    await using database = await freshDatabase();
    await database.query("create role teller login");
    const cwd = await scratchDir();
    const sources = { shop: { kind: "postgres", url: database.url, outbox: { keep: "7d" } } };
    const sql = async (what: string): Promise<string> => {
      const { code, stdout, stderr } = await runCommand(["sql", what], { cwd });
      expect([code, stderr]).toEqual([0, ""]);
      return stdout;
    };
    const run = async (what: string): Promise<void> => {
      const printed = await sql(what);
      await database.query(printed.replace(/GRANT [^;]* TO "millrace";.*/g, "")); // a role that the test does not have
      await database.query(
        printed
          .match(/GRANT [^;]* TO <role>;/g)
          ?.join(" ")
          .replaceAll("<role>", "teller") ?? "",
      );
    };
    await run("inbox"); // needs no configuration
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ sources }));
    await run("outbox");

    await check(database);
    const teller = new Client({ connectionString: database.url.replace("postgres@", "teller@") });
    await teller.connect();
    await teller.query("select millrace.emit('a.b', 'k', '1')");
    await teller.query("insert into millrace.inbox values ('a', '2'); delete from millrace.inbox");
    expect((await teller.query("show millrace.outbox")).rows).toEqual([{ "millrace.outbox": "keep" }]);
    await teller.end();
    await database.query("drop owned by teller; drop role teller");
  });
});
