// The SQL that makes outbox and inbox: whoever runs it, however often, comes to the same tables as drizzle has them.

import { drizzle } from "drizzle-orm/node-postgres";
import { migrate } from "drizzle-orm/node-postgres/migrator";
import { describe, expect, test } from "vitest";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { inboxTable, outboxTable } from "../../../src/outbox.ts";
import { type Database, freshDatabase, missing } from "../../support/servers.ts";

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

describe.skipIf(missing("postgres"))("outbox and inbox are made", () => {
  test("by what the command prints, run by four at once and then again", async () => {
    await using database = await freshDatabase();
    const run = async (what: "outbox" | "inbox"): Promise<void> => {
      const client = await database.connect();
      await client.query(migrationSql(what)).finally(() => client.end());
    };
    await Promise.all([run("inbox"), run("outbox"), run("outbox"), run("inbox")]);
    await run("outbox");

    await check(database);
  });

  test("by drizzle's migrator, on top of what was there", async () => {
    await using database = await freshDatabase();
    await database.query(migrationSql("inbox"));
    const client = await database.connect();
    const options = { migrationsFolder: "migrations", migrationsTable: "millrace_migrations" };
    for (const _ of [1, 2]) await migrate(drizzle({ client }), options);
    await client.end();

    await check(database);
  });
});
