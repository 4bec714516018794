// A client on which nobody has begun a transaction: an event on it would commit by itself.

import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { outbox } from "../../../src/outbox.ts";
import { freshDatabase, missing } from "../../support/servers.ts";

test.skipIf(missing("postgres"))("an event on a client of pg is refused outside of a transaction alone", async () => {
  await using database = await freshDatabase();
  await database.query(migrationSql("outbox"));
  const pool = new Pool({ connectionString: database.url, options: "-c millrace.outbox=keep" });
  const client = await pool.connect();
  const event = { key: 1, data: 1 };
  const written = async (): Promise<number> => (await database.query("select from millrace.outbox")).length;
  const refused = { name: "ConfigError", code: "OUTBOX_OUTSIDE_TRANSACTION" };
  try {
    const early = outbox(client); // may be made before the transaction is begun
    await expect(early.emit("a.b", event)).rejects.toMatchObject(refused);
    await expect(outbox(drizzle({ client })).emit("a.b", event)).rejects.toMatchObject(refused);
    await expect(outbox(client, { mode: "message" }).emit("a.b", event)).rejects.toMatchObject(refused);

    await client.query("begin");
    await early.emit("a.b", event);
    await outbox(drizzle({ client })).emit("a.b", event);
    await client.query("commit");
    await expect(early.emit("a.b", event)).rejects.toMatchObject(refused);
    await drizzle({ client: pool }).transaction((tx) => outbox(tx).emit("a.b", event));
    const beginning = client.query("begin"); // nobody awaits it: pg sends one behind the other
    const emitting = early.emit("a.b", event);
    await Promise.all([beginning, emitting]);
    await client.query("commit");
    expect(await written()).toBe(4);
  } finally {
    client.release();
    await pool.end();
  }
});
