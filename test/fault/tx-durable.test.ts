// What tx() has reported as committed is there after its Postgres was killed, though its role commits without waiting.

import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";
import postgres from "postgres";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../src/app.ts";
import { automation } from "../../src/automation/define/automation.ts";
import { collection } from "../../src/automation/define/collection.ts";
import { migrationSql } from "../../src/outbox/migration-sql.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const EVENTS = 3;

describe.skipIf(missing("postgres", "nats"))("the database of tx(), with synchronous_commit off", () => {
  test("is killed behind three handled events, and has their three effects, on each kind of database", async () => {
    const nats = await freshNats();
    const source = await freshDatabase();
    onTestFinished(() => source[Symbol.asyncDispose]());
    await source.query("create table item(id int primary key)");
    // Nobody else writes the log to the disk for them in time.
    const server = await freshPostgres({ synchronous_commit: "off", wal_writer_delay: "10s", autovacuum: "off" });
    const target = await freshDatabase(server);
    await target.query(`set synchronous_commit = on; ${migrationSql("outbox")}; ${migrationSql("inbox")};
      create table effect(automation text, item int); checkpoint`);
    const pools = [new Pool({ connectionString: target.url }), new Pool({ connectionString: target.url })] as const;
    for (const pool of pools) pool.on("error", () => {}); // its server is killed
    const sql = postgres(target.url, { max: 3, onnotice: () => {} });
    onTestFinished(() => Promise.all([...pools.map((pool) => pool.end()), sql.end({ timeout: 1 })]).then(() => {}));
    const on = collection<{ id: number }>("shop", "public.item").created();
    const insert = (id: string, item: number): string => `insert into effect values ('${id}', ${item})`;
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: {
        shop: { kind: "postgres", url: source.url, tables: ["public.item"] },
        books: { kind: "postgres", url: target.url, tables: ["public.effect"], outbox: true },
      },
      automations: [
        automation("pg", { on, db: pools[0] }, async ({ event, tx }) => {
          await tx(({ client }) => client.query(insert("pg", event.after.id)));
        }),
        automation("orm", { on, db: drizzle(pools[1]) }, async ({ event, tx }) => {
          await tx(({ client }) => client.execute(insert("orm", event.after.id)));
        }),
        automation("sql", { on, db: sql }, async ({ event, tx }) => {
          await tx(({ client }) => client.unsafe(insert("sql", event.after.id)));
        }),
      ],
    };
    // Reading its log too would write it to the disk earlier.
    const worker = await startWorker(config, { sources: ["shop"] });
    onTestFinished(() => worker.stop());
    const parts = () => [...worker.status().sources, ...worker.status().automations];
    await waitFor(() => parts().every(({ state }) => state === "running"), { what: "all to run" });

    await source.query(`insert into item select generate_series(1, ${EVENTS})`);
    await waitFor(() => worker.status().automations.every(({ handled }) => handled === EVENTS), {
      what: "all handled",
    });
    await server.kill("SIGKILL");
    await server.restart();

    const effects = "select automation, count(*)::int from effect group by 1 order by 1";
    expect(await target.query(effects)).toEqual(["orm", "pg", "sql"].map((id) => ({ automation: id, count: EVENTS })));
    expect(await target.query("select count(*)::int from millrace.inbox")).toEqual([{ count: 3 * EVENTS }]);
  });
});
