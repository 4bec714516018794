// The database of tx() is away for a while under a thousand waiting events: nothing is given up, the automation says why it
// waits, and every effect has happened once afterwards.

import { setTimeout as delay } from "node:timers/promises";
import { drizzle } from "drizzle-orm/node-postgres";
import { Pool } from "pg";
import postgres from "postgres";
import { describe, test } from "vitest";
import { startWorker } from "../../src/app.ts";
import { automation } from "../../src/automation/define/automation.ts";
import { collection } from "../../src/automation/define/collection.ts";
import { migrationSql } from "../../src/outbox/migration-sql.ts";
import { type Database, freshDatabase, freshNats, freshPostgres, missing } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

const EVENTS = 1000;
/** `AWAY_SECONDS=60` for the full time. */
const AWAY_MS = Number(process.env.AWAY_SECONDS ?? 20) * 1000;

interface Outage {
  /** Whether it ends sessions. */
  readonly cuts: boolean;
  begin(proxy: TcpProxy, database: Database): Promise<void>;
  end(proxy: TcpProxy, database: Database): Promise<void>;
}

/** The pools' sessions: their role is another one than the source's. */
const endSessions = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'";
const outages: readonly (readonly [string, Outage])[] = [
  [
    "refuses connections",
    {
      cuts: true,
      begin: async (proxy) => {
        await proxy.refuse();
        proxy.cut();
      },
      end: (proxy) => proxy.heal(),
    },
  ],
  [
    "is frozen",
    {
      cuts: false,
      begin: async (proxy) => proxy.blackHole(),
      end: (proxy) => proxy.heal(),
    },
  ],
  [
    "is read-only",
    {
      cuts: true,
      begin: async (_, { query }) => {
        await query("alter role app set default_transaction_read_only = on");
        await query(endSessions);
      },
      end: async (_, { query }) => {
        await query("alter role app reset default_transaction_read_only");
        await query(endSessions);
      },
    },
  ],
];

describe.skipIf(missing("postgres", "nats"))("the database of tx()", () => {
  const name = "%s under a thousand events, which all have their one effect afterwards";
  // Side by side: each of them waits most of the time.
  test.concurrent.for(outages)(name, async ([, outage], { expect, onTestFinished }) => {
    const { cuts } = outage;
    const nats = await freshNats();
    const database = await freshDatabase(await freshPostgres()); // roles and slots are a server's
    onTestFinished(() => database[Symbol.asyncDispose]());
    await database.query(`${migrationSql("outbox")}; ${migrationSql("inbox")};
      create table item(id int primary key); create table effect(automation text, item int);
      drop role if exists app; create role app login;
      grant usage on schema millrace to app; grant select, insert, delete on millrace.inbox, millrace.outbox to app;
      grant insert on effect to app`);
    const proxy = await TcpProxy.start(Number(new URL(database.url).port));
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    const url = proxy.url(database.url).replace("postgres@", "app@");
    const [pool, ormPool] = [new Pool({ connectionString: url }), new Pool({ connectionString: url })];
    const sql = postgres(url, { max: 10, onnotice: () => {} });
    onTestFinished(() => Promise.all([pool.end(), ormPool.end(), sql.end({ timeout: 1 })]).then(() => {}));
    const on = collection<{ id: number }>("shop", "public.item").created();
    const insert = (id: string, item: number): string => `insert into effect values ('${id}', ${item})`;
    // postgres.js 3.4.9 throws past everybody when a session ends under it (porsager/postgres#1208), which ends the process.
    const third = automation("sql", { on, db: sql }, async ({ event, tx }) => {
      await tx(({ client }) => client.unsafe(insert("sql", event.after.id)));
    });
    const ids = ["pg", "orm", ...(cuts ? [] : ["sql"])];
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"], outbox: true } },
      automations: [
        automation("pg", { on, db: pool }, async ({ event, tx }) => {
          await tx(({ client }) => client.query(insert("pg", event.after.id)));
        }),
        automation("orm", { on, db: drizzle(ormPool) }, async ({ event, tx }) => {
          await tx(({ client }) => client.execute(insert("orm", event.after.id)));
        }),
        ...(cuts ? [] : [third]),
      ],
    });
    onTestFinished(() => worker.stop());
    const parts = (): readonly unknown[] =>
      worker
        .status()
        .parts.filter(({ kind }) => kind === "automation")
        .map(({ id, ready, code }) => [id, ready, code]);
    const counts = (): readonly unknown[] =>
      worker.status().automations.map(({ id, handled, skipped, retried, dead }) => ({
        [id]: [handled + skipped, retried, dead],
      }));
    const states = (): readonly string[] =>
      [...worker.status().sources, ...worker.status().automations].map(({ state }) => state);
    await waitFor(() => states().every((state) => state === "running"), { what: "all to run" });

    await database.query(`insert into item select generate_series(1, ${EVENTS})`);
    const done = async (): Promise<number> =>
      Number((await database.query<{ n: string }>("select count(*) n from effect"))[0]?.n);
    await waitFor(async () => (await done()) > 100, { what: "the first effects" });
    await outage.begin(proxy, database);
    await waitFor(() => parts().every((part) => (part as unknown[])[2] === "TX_UNREACHABLE"), {
      what: "red with the reason",
    });
    const before = await done();
    await delay(AWAY_MS); // that it stays away for so long is the fault
    expect(parts()).toEqual(ids.map((id) => [id, false, "TX_UNREACHABLE"]));
    expect(before).toBeLessThan(ids.length * EVENTS);
    await outage.end(proxy, database);
    await waitFor(async () => (await done()) === ids.length * EVENTS, { what: "every effect", timeoutMs: 120_000 });
    await waitFor(() => parts().every((part) => (part as unknown[])[1] === true), { what: "green", timeoutMs: 60_000 });

    const doubled = "select from effect group by automation, item having count(*) > 1";
    expect(await database.query(doubled)).toEqual([]);
    await waitFor(() => worker.status().automations.every((one) => one.handled + one.skipped === EVENTS), {
      what: "every outcome",
      timeoutMs: 60_000,
    });
    expect(counts()).toEqual(ids.map((id) => ({ [id]: [EVENTS, 0, 0] })));
  });
});
