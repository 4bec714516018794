// tx() on a database that runs and has no room for it: no connection left, or none in the pool. That spends no attempt.

import { Client, Pool } from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const EVENTS = 5;
const long = { timeoutMs: 30_000 };

/** Takes the room, and resolves to what gives it back. */
type Crowd = (given: {
  readonly database: Database;
  readonly pool: Pool;
  readonly url: string;
}) => Promise<() => Promise<void>>;

const crowds: readonly (readonly [string, Crowd])[] = [
  [
    "the role has no connection left (53300)",
    async ({ database, url }) => {
      await database.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'");
      const held = new Client({ connectionString: url });
      await held.connect();
      await database.query("alter role app connection limit 1");
      return async () => {
        await held.end();
        await database.query("alter role app connection limit -1");
      };
    },
  ],
  [
    "others have all of the pool",
    async ({ pool }) => {
      const held = await Promise.all([pool.connect(), pool.connect()]);
      return async () => {
        for (const client of held) client.release();
      };
    },
  ],
];

describe.skipIf(missing("postgres", "nats"))("tx() where there is no room", () => {
  test.each(crowds)(
    "%s: waits with the reason, and each event has its effect at its first attempt",
    async (_, crowd) => {
      const nats = await freshNats();
      const database = await freshDatabase();
      onTestFinished(() => database[Symbol.asyncDispose]());
      await database.query(`${migrationSql("outbox")}; ${migrationSql("inbox")};
      create table item(id int primary key); create table effect(item int, attempt int);
      drop role if exists app; create role app login; grant insert on effect to app;
      grant usage on schema millrace to app; grant select, insert, delete on millrace.inbox, millrace.outbox to app`);
      const url = database.url.replace("postgres@", "app@");
      const pool = new Pool({ connectionString: url, max: 2, connectionTimeoutMillis: 300 });
      pool.on("error", () => {}); // its sessions are ended
      onTestFinished(() => pool.end());
      const on = collection<{ id: number }>("shop", "public.item").created();
      const works = automation("works", { on, db: pool, retry: { attempts: 2, min: 10, max: 20 } }, async (given) => {
        const { event, attempt, tx } = given;
        await tx(({ client }) => client.query("insert into effect values ($1, $2)", [event.after.id, attempt]));
      });
      const worker = await startWorker({
        bus: { servers: nats.url, fsync: "always" },
        sources: { shop: { kind: "postgres", url: database.url, tables: ["public.item"], outbox: true } },
        automations: [works],
      });
      onTestFinished(() => worker.stop());
      const state = () => worker.status().automations[0];
      const parts = () => [...worker.status().sources, ...worker.status().automations];
      await waitFor(() => parts().every((part) => part.state === "running"), { what: "all to run", ...long });

      const leave = await crowd({ database, pool, url });
      await database.query(`insert into item select generate_series(1, ${EVENTS})`);
      await waitFor(() => state()?.reason?.code === "TX_UNREACHABLE", { what: "red with the reason", ...long });
      await leave();
      await waitFor(() => state()?.handled === EVENTS, { what: "all handled", ...long });

      expect(state()).toMatchObject({ retried: 0, dead: 0, state: "running" });
      expect(await database.query("select distinct attempt, count(distinct item)::int from effect group by 1")).toEqual(
        [{ attempt: 1, count: EVENTS }],
      );
    },
  );
});
