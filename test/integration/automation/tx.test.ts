// tx(): one effect however often an event is delivered, and an end to what would go round for ever.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nanos } from "@nats-io/transport-node";
import { drizzle } from "drizzle-orm/node-postgres";
import { drizzle as drizzleOnPostgresJs } from "drizzle-orm/postgres-js";
import { Client, Pool, type PoolClient } from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { startWorker, type Worker } from "../../../src/app.ts";
import { type Automation, automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { event } from "../../../src/automation/define/event-trigger.ts";
import { Shadow } from "../../../src/automation/outcome/shadow.ts";
import { isUnavailable, sqlStateOf } from "../../../src/automation/outcome/unavailable.ts";
import { TxDatabases } from "../../../src/automation/run/tx-databases.ts";
import { inboxKey, rowsOf } from "../../../src/automation/tx/inbox.ts";
import { Silence } from "../../../src/automation/tx/silence.ts";
import { type PgClient, type RunTransaction, transactionsOf } from "../../../src/automation/tx/transaction.ts";
import { Tx } from "../../../src/automation/tx/tx.ts";
import { type OutboxHomes, TxHome } from "../../../src/automation/tx/tx-home.ts";
import { openRetryStream } from "../../../src/bus/jetstream/client/retry-stream.ts";
import { headersOf } from "../../../src/bus/jetstream/client/shared-stream.ts";
import { realClock } from "../../../src/clock.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { type ConfigError, TransientError } from "../../../src/errors.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { sqlRunner } from "../../../src/outbox/sql-client.ts";
import { inboxTable, outbox } from "../../../src/outbox.ts";
import { postgresConnector } from "../../../src/source/postgres/connector.ts";
import { parsePostgresConfig } from "../../../src/source/postgres/options/config.ts";
import { createLogger } from "../../../src/telemetry/create-logger.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { startWorker as startAutomations } from "../../support/automations.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

interface Item {
  readonly id: number;
  readonly note: string | null;
}

const absent = missing("postgres", "nats");
const long = { timeoutMs: 40_000 };

describe.skipIf(absent)("tx()", () => {
  let nats: NatsServer;
  let database: Database;
  let pool: Pool;
  const items = collection<Item>("shop", "public.item");

  beforeAll(async () => {
    if (absent) return;
    nats = await freshNats();
    database = await freshDatabase();
    pool = new Pool({ connectionString: database.url });
    pool.on("error", () => {});
    await database.query(`${migrationSql("outbox")}; ${migrationSql("inbox")};
      create table item(id int primary key, note text); create table effect(n int generated always as identity primary key, automation text, item int);
      create table ping(id int generated always as identity primary key, of int);
      create table pong(id int generated always as identity primary key, of int)`);
  });

  afterAll(async () => {
    await pool?.end();
    await database?.[Symbol.asyncDispose]();
  });

  const source = (): object => ({ kind: "postgres", url: database.url, tables: ["public.*"], outbox: true });
  const configuration = (automations: readonly Automation[], defaults: object = { db: pool }): object => ({
    bus: { servers: nats.url, fsync: "always" },
    sources: { shop: source() },
    automations,
    defaults,
  });
  async function run(automations: readonly Automation[], defaults?: object): Promise<Worker> {
    const worker = await startWorker(configuration(automations, defaults));
    onTestFinished(() => worker.stop());
    await running(worker);
    return worker;
  }
  /** Sources too: what was written before a source's first start is not in its log. */
  async function running(worker: Worker): Promise<void> {
    const all = (): boolean =>
      [...worker.status().sources, ...worker.status().automations].every(({ state }) => state === "running");
    await waitFor(all, { what: "sources and automations to run", ...long });
  }
  /** What a source with an outbox on this database tells of it. */
  const home = (): OutboxHomes[number] => {
    const config = parsePostgresConfig({ url: database.url, outbox: true }, "sources.shop");
    return postgresConnector.outboxHome("shop" as SourceId, config) ?? expect.unreachable();
  };
  const effects = async (id: string): Promise<number> =>
    (await database.query("select from effect where automation = $1", [id])).length;
  const effect = "insert into effect(automation, item) values ($1, $2)";

  test("acts again in a replay, once for each run, however often that is delivered", async () => {
    const seen: (readonly [run: string | undefined, attempt: number, sequence: number])[] = [];
    const worker = await run([
      automation("rerun", { on: items.created(), retry: { min: 1, max: 5 } }, async ({ event, tx, run, attempt }) => {
        seen.push([run, attempt, event.sequence]);
        await tx(({ client }) => client.query(effect, ["rerun", event.after.id]).then(() => {}));
        if (attempt === 1) throw new Error("after the effect, before the ack");
      }),
    ]);
    await database.query("insert into item values (70, 'x')");
    await waitFor(() => worker.status().automations[0]?.skipped === 1, { what: "its first run", ...long });
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const sequence = seen[0]?.[2] ?? 0;
    const { subject, header, data } = await (await jetstreamManager(nc)).streams
      .getMessage("CDC_SHOP", { seq: sequence })
      .then((message) => message ?? expect.unreachable());
    const { store } = openRetryStream(nc, { replicas: 1 });
    const event = { automation: "rerun", stream: "CDC_SHOP", sequence, subject, headers: headersOf(header), data };
    for (const run of ["r1", "r2", "r1"]) await store({ ...event, run, attempts: 0, dueAt: Date.now() });
    await waitFor(() => worker.status().automations[0]?.skipped === 3, { what: "both replays", ...long });

    expect(await effects("rerun")).toBe(3);
    expect(seen.map(([run, attempt]) => `${run} ${attempt}`).sort()).toEqual(
      [undefined, "r1", "r2"].flatMap((run) => [`${run} 1`, `${run} 2`]).sort(),
    );
  });

  test("has one effect and one domain event in 50 deliveries of an event, and the rest end as duplicates", async () => {
    let attempts = 0;
    let worked = 0;
    const heard: unknown[] = [];
    const retry = { attempts: 60, min: 1, max: 5 };
    const worker = await run([
      automation("again", { on: items.created(), retry }, async ({ event, tx, signal }) => {
        attempts++;
        expect(signal.aborted).toBe(false);
        await tx(async ({ client, emit }) => {
          worked++;
          await client.query(effect, ["again", event.after.id]);
          await emit("item.seen", { key: event.after.id, data: { id: event.after.id }, headers: { tenant: "t" } });
        });
        if (attempts < 50) throw new Error("after the effect, before the ack");
      }),
      automation("hears", { on: event<{ id: number }>("item.seen") }, ({ event }) => {
        heard.push(event);
      }),
    ]);

    await database.query("insert into item values (1, 'x')");
    await waitFor(() => attempts === 50 && worker.status().automations[0]?.skipped === 1, { what: "50", ...long });
    await waitFor(() => heard.length > 0, { what: "the domain event", ...long });

    expect([await effects("again"), worked, worker.status().automations[0]?.handled]).toEqual([1, 1, 0]);
    expect(heard).toMatchObject([
      {
        type: "item.seen",
        source: "shop",
        key: "1",
        data: { id: 1 },
        headers: { tenant: "t" },
        lineage: { hops: 1, automation: "again", correlationId: expect.stringMatching(/^shop\./) },
      },
    ]);
  });

  test("has one effect though the handler's process is killed between commit and ack, and though two workers run it", async () => {
    const config = { ...configuration([], {}), automations: "./fatal.mjs" };
    const module = `
      import { existsSync, writeFileSync } from "node:fs";
      import { createRequire } from "node:module";
      import { automation, collection } from "millrace";
      const { Pool } = createRequire(${JSON.stringify(import.meta.url)})("pg");
      const db = new Pool({ connectionString: ${JSON.stringify(database.url)} });
      const on = collection("shop", "public.item").created();
      export const fatal = automation("fatal", { on, db, start: "earliest" }, async ({ event, tx }) => {
        await tx(({ client }) => client.query("insert into effect(automation, item) values ('fatal', $1)", [event.after.id]));
        if (existsSync("killed")) return;
        writeFileSync("killed", "");
        process.kill(process.pid, "SIGKILL");
      });`;
    await database.query("insert into item select n, 'y' from generate_series(100, 120) n");
    await using first = await WorkerProcess.start(config, { files: { "fatal.mjs": module } });
    expect(await first.ended()).toBe("SIGKILL");
    await using second = await first.again();
    await using third = await first.again();
    await second.logged("automation_started", undefined, 40_000);
    await third.logged("automation_started", undefined, 40_000);
    await database.query("insert into item select n, 'y' from generate_series(121, 140) n");
    const [{ items: all } = { items: 0 }] = await database.query<{ items: number }>(
      "select count(*)::int items from item",
    );
    await waitFor(async () => (await effects("fatal")) >= all, { what: "every effect", ...long });

    const doubled = await database.query(
      "select item from effect where automation = 'fatal' group by item having count(*) > 1",
    );
    expect(doubled).toEqual([]);
    expect(await effects("fatal")).toBe(all);
  });

  test.each([
    ["commits", "and has no effect of its own", ["one", undefined], [false, true]],
    ["rolls back", "and has the effect then", ["failed", "two"], [false, false]],
  ] as const)("waits for another attempt of the event: when that %s, %s", async (end, _, results, duplicates) => {
    const cause = {
      id: `first-${end}`,
      inbox: { key: `first-${end}` },
      source: "/shop",
      subject: "public.item/1",
      lineage: undefined,
    };
    const transaction = transactionsOf(pool);
    const [one, two] = [1, 2].map(
      () =>
        new Tx(
          "waits",
          { transaction, home: new TxHome(transaction, [home()]), silence: new Silence(realClock) },
          cause,
        ),
    );
    const { signal } = new AbortController();
    let open: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    let entered = false;
    const first = one?.run<PgClient, string>(async ({ client }) => {
      entered = true;
      await client.query(effect, [cause.id, 1]);
      await gate;
      if (end === "rolls back") throw new Error("it fails");
      return "one";
    }, signal);
    await waitFor(() => entered, { what: "the first to be in its transaction" });
    const second = two?.run<PgClient, string>(async ({ client }) => {
      await client.query(effect, [cause.id, 1]);
      return "two";
    }, signal);
    const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into millrace.inbox%'`;
    await waitFor(async () => (await database.query(waiting)).length === 1, { what: "the second to wait" });
    open();

    expect(await Promise.all([first?.catch(() => "failed"), second])).toEqual(results);
    expect([one?.duplicate, two?.duplicate]).toEqual(duplicates);
    expect(await effects(cause.id)).toBe(1);
  });

  test("one uuid for two types is two events, and so is one of two sources; an entry of before counts still", async () => {
    const id = "00000000-0000-4000-8000-000000000001";
    const old = "00000000-0000-4000-8000-000000000002";
    const worker = await run([
      automation("typed", { on: [event("twin.one"), event("twin.two")] }, async ({ event, tx }) => {
        await tx(({ client }) => client.query(effect, ["typed", event.type === "twin.one" ? 1 : 2]));
      }),
    ]);
    await database.query("insert into millrace.inbox (automation, event_id) values ('typed', $1)", [old]);
    for (const [type, eventId] of [
      ["twin.one", id],
      ["twin.two", id],
      ["twin.one", old],
    ] as const)
      await outbox((text: string, values: readonly string[]) => pool.query(text, [...values])).emit(type, {
        key: 1,
        data: null,
        id: eventId,
      });
    await waitFor(() => worker.status().automations.every((one) => one.handled + one.skipped === 3), {
      what: "all three",
      ...long,
    });

    expect(await database.query("select item from effect where automation = 'typed' order by item")).toEqual([
      { item: 1 },
      { item: 2 },
    ]);
    const key = (source: string) =>
      inboxKey(
        { subject: `events.${source}.twin.one.p00`, header: (name) => (name === "ce-source" ? `/${source}` : "t") },
        id,
      ).key;
    expect(key("shop")).not.toBe(key("other"));
  });

  test("works on drizzle and on postgres.js, and rolls back with what the work throws", async () => {
    const sql = postgres(database.url, { max: 2, onnotice: () => {} });
    onTestFinished(() => sql.end());
    const orm = drizzle(pool);
    let failures = 0;
    const events = { "item.known": z.object({ id: z.int() }) };
    const refused = { key: 1, data: { id: "no number" as never } };
    const worker = await run(
      [
        automation("refused", { on: items.created(), retry: { attempts: 1 } }, async ({ event, tx }) => {
          await tx(async ({ client }) => {
            await client.query(effect, ["refused", event.after.id]);
            await outbox(client, { events }).emit("item.known", refused);
          });
        }),
        automation("orm", { on: items.created(), db: orm }, async ({ event, tx }) => {
          await tx(async ({ client }) => {
            await client.insert(inboxTable).values({ automation: "by-hand", event_id: event.id });
            await client.execute(`insert into effect(automation, item) values ('orm', ${event.after.id})`);
            await outbox(client, { events }).emit("item.known", { key: event.after.id, data: { id: event.after.id } });
          });
        }),
        automation("sql", { on: items.created(), db: sql, retry: { min: 1, max: 5 } }, async ({ event, tx }) => {
          await tx(async ({ client }) => {
            await client`insert into effect(automation, item) values ('sql', ${event.after.id})`;
            if (failures++ === 0) throw new Error("the work fails");
          });
        }),
      ],
      { db: pool },
    );

    await database.query("insert into item values (2, 'z')");
    const ends = (): readonly unknown[] => worker.status().automations.map(({ handled, dead }) => [handled, dead]);
    await waitFor(
      () =>
        ends()
          .flat()
          .filter((end) => end === 1).length === 3,
      { what: "all", ...long },
    );
    const known = await waitFor(
      async () => (await readStream(nats.url, "CDC_SHOP")).find(({ subject }) => subject.includes(".item.known.")),
      { what: "the declared event", ...long },
    );

    expect(ends()).toEqual([
      [0, 1],
      [1, 0],
      [1, 0],
    ]);
    expect([await effects("refused"), await effects("orm"), await effects("sql"), failures]).toEqual([0, 1, 1, 2]);
    expect([known.text, known.header("ce-automation")]).toEqual(['{"id": 2}', "orm"]);
  });

  test("is tried again when the commit was none, the connection broke, or nobody waited for its error", async () => {
    const own = new Pool({ connectionString: database.url });
    const ormPool = new Pool({ connectionString: database.url });
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    onTestFinished(async () => void (await Promise.all([own.end(), ormPool.end(), sql.end()])));
    const orm = drizzle(ormPool);
    const insert = (id: string, item: number): string =>
      `insert into effect(automation, item) values ('${id}', ${item})`;
    /** Ends the session of the client that the pool has lent, and waits until that has noticed it. */
    const breakNext = (pool: Pool): (() => Promise<void>) => {
      let lent: PoolClient | undefined;
      pool.on("acquire", (client) => {
        lent = client;
      });
      return async () => {
        const ended = new Promise<void>((resolve) => lent?.once("end", resolve));
        const { processID } = lent as unknown as { processID: number };
        await database.query("select pg_terminate_backend($1)", [processID]);
        await ended;
      };
    };
    /** The attempts that met it: a lost connection spends none. */
    const broken: number[] = [];
    const ormBroken: number[] = [];
    const breakOwn = breakNext(own);
    const breakOrm = breakNext(ormPool);
    const on = items.created();
    const retry = { min: 1, max: 5 };
    const worker = await run(
      [
        automation("swallows", { on, retry, db: own, concurrency: 1 }, async ({ event, tx, attempt }) => {
          await tx(async ({ client }) => {
            await client.query(insert("swallows", event.after.id));
            if (attempt === 1) await client.query("select 1/0").catch(() => {});
          });
        }),
        automation("orm-swallows", { on, retry, db: orm }, async ({ event, tx, attempt }) => {
          await tx(async ({ client }) => {
            await client.execute(insert("orm-swallows", event.after.id));
            if (attempt === 1) await client.execute("select 1/0").catch(() => {});
          });
        }),
        automation("sql-swallows", { on, retry, db: sql }, async ({ event, tx, attempt }) => {
          await tx(async ({ client }) => {
            await client.unsafe(insert("sql-swallows", event.after.id));
            if (attempt === 1) await client`select 1/0`.catch(() => {});
          });
        }),
        automation("breaks", { on: items.deleted(), retry, db: own }, async ({ tx, attempt }) => {
          await tx(async ({ client }) => {
            await client.query(insert("breaks", 1));
            if (broken.push(attempt) === 1) await breakOwn();
          });
        }),
        automation("orm-breaks", { on: items.deleted(), retry, db: orm }, async ({ tx, attempt }) => {
          await tx(async ({ client }) => {
            await client.execute(insert("orm-breaks", 1));
            if (ormBroken.push(attempt) === 1) await breakOrm();
          });
        }),
        automation("forgets", { on, retry }, ({ event, tx, attempt }) => {
          void tx(async ({ client }) => {
            await client.query(insert("forgets", event.after.id));
            if (attempt === 1) throw new Error("nobody waits for it");
          });
        }),
        automation("catches", { on, retry }, async ({ event, tx, attempt, skip }) => {
          const caught = await tx(async ({ client }) => {
            await client.query(insert("catches", event.after.id));
            throw new Error("the handler knows it");
          }).catch(() => "caught");
          return attempt > 1 && caught === "caught" ? skip("it is as it must be") : undefined;
        }),
      ],
      { db: pool },
    );
    const ends = (): readonly unknown[] =>
      worker.status().automations.map(({ id, handled, skipped, retried }) => [id, handled, skipped, retried]);

    await database.query("insert into item values (3, 'w')");
    await waitFor(
      () =>
        ends()
          .flat()
          .filter((end) => end === 1).length >= 10,
      { what: "the first five", ...long },
    );
    await database.query("delete from item where id = 3");
    await waitFor(
      () =>
        ends()
          .flat()
          .filter((end) => end === 1).length >= 12,
      { what: "all", ...long },
    );

    expect(ends()).toEqual([
      ["swallows", 1, 0, 1],
      ["orm-swallows", 1, 0, 1],
      ["sql-swallows", 1, 0, 1],
      ["breaks", 1, 0, 0],
      ["orm-breaks", 1, 0, 0],
      ["forgets", 1, 0, 1],
      ["catches", 0, 1, 1],
    ]);
    expect([broken, ormBroken]).toEqual([
      [1, 1],
      [1, 1],
    ]);
    for (const id of ["swallows", "orm-swallows", "sql-swallows", "breaks", "orm-breaks", "forgets"])
      expect([id, await effects(id)]).toEqual([id, 1]);
    expect(await effects("catches")).toBe(0);
  });

  test("a COMMIT or ROLLBACK of the work's own ends the event by name, on each kind of database, and is tried once", async () => {
    const ormPool = new Pool({ connectionString: database.url });
    const sql = postgres(database.url, { max: 2, onnotice: () => {} });
    onTestFinished(async () => void (await Promise.all([ormPool.end(), sql.end()])));
    const statements = ["commit", "rollback", "begin; commit; begin", "rollback and chain"];
    const worked: Record<string, number> = {};
    const insert = (id: string): string => `insert into effect(automation, item) values ('${id}', 1)`;
    const ends = statements.flatMap((statement, nth) => {
      const on = items.updated();
      const ids = ["pg", "orm", "sql"].map((kind) => `ends-${kind}-${nth}`);
      const [pg = "", ormId = "", sqlId = ""] = ids;
      const begun = (id: string): string => {
        worked[id] = (worked[id] ?? 0) + 1;
        return insert(id);
      };
      return [
        automation(pg, { on }, async ({ tx }) => {
          await tx(async ({ client }) => {
            await client.query(begun(pg));
            await client.query(statement);
            await client.query(insert(pg));
          });
        }),
        automation(ormId, { on, db: drizzle(ormPool) }, async ({ tx }) => {
          await tx(async ({ client }) => {
            await client.execute(begun(ormId));
            await client.execute(statement);
          }).catch(() => {
            throw new Error("what the helper makes of it");
          });
        }),
        automation(`ends-both-${nth}`, { on, db: drizzleOnPostgresJs(sql) }, async ({ tx }) => {
          await tx(async ({ client }) => {
            await client.execute(begun(`ends-both-${nth}`));
            await client.execute(statement);
          });
        }),
        automation(sqlId, { on, db: sql }, async ({ tx }) => {
          await tx(async ({ client }) => {
            await client.unsafe(begun(sqlId));
            await client.unsafe(statement).simple();
          });
        }),
      ];
    });
    const worker = await run(ends);
    await database.query("insert into item values (50, 'ends')");
    await database.query("update item set note = 'now' where id = 50");
    const dead = (): readonly unknown[] => worker.status().automations.map(({ deadBy }) => deadBy);
    await waitFor(() => worker.status().automations.every((one) => one.dead === 1), { what: "all to end", ...long });

    expect(new Set(dead().map((by) => JSON.stringify(by)))).toEqual(new Set(['{"fatal":1}']));
    expect(new Set(Object.values(worked))).toEqual(new Set([1]));
    const letters = (await readStream(nats.url, "MILLRACE_DEAD")).filter(({ subject }) =>
      subject.startsWith("dead.ends-"),
    );
    expect(new Set(letters.map(({ text }) => JSON.parse(text).error.code))).toEqual(new Set(["TX_CONTROL_REFUSED"]));
    expect(await database.query("select from effect where automation like 'ends-%'")).toEqual([]);
    expect(letters).toHaveLength(ends.length);
  });

  test.each([
    ["and goes on", async () => {}],
    ["and fails then", async () => Promise.reject(new Error("its own"))],
  ])("a driver that cannot be guarded: a work that ends its transaction %s is told of by name", async (_, rest) => {
    const bare: RunTransaction = async (work) => {
      const client = await pool.connect();
      try {
        await client.query("begin");
        const result = await work(client);
        await client.query("commit");
        return result;
      } catch (error) {
        await client.query("rollback");
        throw error;
      } finally {
        client.release();
      }
    };
    const cause = {
      id: `bare ${_}`,
      inbox: { key: `bare ${_}` },
      source: "/shop",
      subject: "public.item/1",
      lineage: undefined,
    };
    const place = { transaction: bare, home: new TxHome(bare, [home()]), silence: new Silence(realClock) };
    const work = async ({ client }: { readonly client: PgClient }): Promise<void> => {
      await client.query("commit");
      await rest();
    };

    const { signal } = new AbortController();
    await expect(new Tx("bare", place, cause).run(work, signal)).rejects.toMatchObject({ code: "TX_ENDED_INSIDE" });
  });

  test("takes savepoints, refuses emit() behind its work, and commits durably where the role does not", async () => {
    await database.query("create role hasty login superuser; alter role hasty set synchronous_commit = off");
    const hasty = new Pool({ connectionString: database.url.replace("postgres@", "hasty@"), max: 1 });
    onTestFinished(async () => {
      await hasty.end();
      await database.query("drop role hasty");
    });
    await database.query(`create table settings(value text);
      create function told() returns trigger language plpgsql as $$ begin
        insert into settings values (current_setting('synchronous_commit')); return null; end $$;
      create constraint trigger told after insert on effect deferrable initially deferred for each row
        when (new.automation = 'hasty') execute function told()`);
    let kept: ((type: string, event: { key: number; data: null }) => Promise<string>) | undefined;
    const worker = await run(
      [
        automation("hasty", { on: items.created(), concurrency: 1 }, async ({ event, tx }) => {
          await tx(async ({ client, emit }) => {
            kept = emit;
            await client.query("savepoint part");
            await client.query("select 1/0").catch(() => client.query("rollback to savepoint part"));
            await client.query(effect, ["hasty", event.after.id]);
          });
        }),
      ],
      { db: hasty },
    );
    await database.query("insert into item values (60, 'h')");
    await waitFor(() => worker.status().automations[0]?.handled === 1, { what: "the effect", ...long });

    expect(await effects("hasty")).toBe(1);
    expect(await database.query("select value from settings")).toEqual([{ value: "on" }]);
    await expect(kept?.("item.late", { key: 1, data: null })).rejects.toMatchObject({ code: "TX_EMIT_TOO_LATE" });
  });

  test("gives its connection back with the role it was lent with, on each kind of database", async () => {
    await database.query("create role tenant; grant insert on effect to tenant");
    onTestFinished(async () => void (await database.query("drop owned by tenant; drop role tenant")));
    const lone = new Pool({ connectionString: database.url, max: 1 });
    const ormPool = new Pool({ connectionString: database.url, max: 1 });
    const sql = postgres(database.url, { max: 1, onnotice: () => {} });
    onTestFinished(async () => void (await Promise.all([lone.end(), ormPool.end(), sql.end()])));
    const insert = (id: string): string => `insert into effect(automation, item) values ('${id}', 1)`;
    const worker = await run([
      automation("role-pg", { on: items.created(), db: lone }, async ({ tx }) => {
        await tx(async ({ client }) => {
          await client.query("set role tenant");
          await client.query(insert("role-pg"));
        });
      }),
      automation("role-orm", { on: items.created(), db: drizzle(ormPool) }, async ({ tx }) => {
        await tx(async ({ client }) => {
          await client.execute("set role tenant");
          await client.execute(insert("role-orm"));
        });
      }),
      automation("role-sql", { on: items.created(), db: sql }, async ({ tx }) => {
        await tx(async ({ client }) => {
          await client.unsafe("set role tenant");
          await client.unsafe(insert("role-sql"));
        });
      }),
    ]);
    await database.query("insert into item values (80, 'r'), (81, 'r')");
    await waitFor(() => worker.status().automations.every(({ handled }) => handled === 2), { what: "both", ...long });

    const ask = "select current_user::text as name";
    const names = [(await lone.query(ask)).rows, (await ormPool.query(ask)).rows, [...(await sql.unsafe(ask))]];
    expect(names).toEqual([[{ name: "postgres" }], [{ name: "postgres" }], [{ name: "postgres" }]]);
  });

  test("what a handler threw is logged with message, code and place; with log.messages off, without any message", async () => {
    const lines: Readonly<Record<string, unknown>>[] = [];
    const log = createLogger({ level: "info", pretty: false, write: (line) => lines.push(JSON.parse(line)) });
    const start = async (id: string, messages?: boolean): Promise<void> => {
      const mail = automation(id, { on: items.created() }, ({ fatal }) => {
        throw fatal("smtp 421");
      });
      const input = { ...configuration([mail], {}), ...(messages === undefined ? {} : { log: { messages } }) };
      const worker = await startWorker(input, { log });
      onTestFinished(() => worker.stop());
      // The second one stands by for the source.
      await waitFor(() => worker.status().automations[0]?.state === "running", { what: id, ...long });
    };
    await start("mail-told");
    await start("mail-silent", false);
    await waitFor(() => lines.some((line) => line.event === "source_started"), { what: "the source", ...long });
    await database.query("insert into item values (71, 'm')");
    const letter = (id: string) =>
      waitFor(() => lines.find((line) => line.event === "automation_dead_letter" && line.automation === id), {
        what: id,
        ...long,
      });

    const at = [expect.stringMatching(/tx\.test\.ts:\d+:\d+\)?$/)];
    expect(await letter("mail-told")).toMatchObject({ error: "Fatal", code: "FATAL", message: "smtp 421", at });
    const silent = await letter("mail-silent");
    expect(silent).toMatchObject({ error: "Fatal", code: "FATAL", at });
    expect(JSON.stringify(silent)).not.toContain("421");
  });

  test("two automations that write each other's tables are stopped at the limit; one that meets its own key, at once", async () => {
    const ping = collection<{ id: number; of: number }>("shop", "public.ping");
    const pong = collection<{ id: number; of: number }>("shop", "public.pong");
    const worker = await run(
      [
        automation("a", { on: ping.created() }, async ({ event, tx }) => {
          await tx(({ client }) => client.query("insert into pong(of) values ($1)", [event.after.id]));
        }),
        automation("b", { on: pong.created() }, async ({ event, tx }) => {
          await tx(({ client }) => client.query("insert into ping(of) values ($1)", [event.after.id]));
        }),
        automation("own", { on: items.updated() }, async ({ event, tx }) => {
          await tx(({ client }) => client.query("update item set note = note || '!' where id = $1", [event.key?.id]));
        }),
      ],
      { db: pool, maxHops: 5 },
    );
    const status = (id: string) => worker.status().automations.find((one) => one.id === id);

    await database.query("insert into ping(of) values (0)");
    await database.query("update item set note = 'once' where id = 1");
    await waitFor(() => status("b")?.deadBy?.cycle === 1, { what: "the loop's end", ...long });
    await waitFor(() => status("own")?.deadBy?.cycle === 1, { what: "the own loop's end", ...long });

    expect([status("a")?.handled, status("b")?.handled]).toEqual([3, 2]);
    expect(await database.query("select note from item where id = 1")).toEqual([{ note: "once!" }]);
    const letters = (await readStream(nats.url, "MILLRACE_DEAD"))
      .map(({ text }) => JSON.parse(text))
      .filter(({ reason }) => reason === "cycle");
    expect(new Set(letters.map(({ automation, reason, error }) => `${automation} ${reason} ${error.code}`))).toEqual(
      new Set(["b cycle AUTOMATION_CYCLE", "own cycle AUTOMATION_CYCLE"]),
    );
    const hops = (await readStream(nats.url, "CDC_SHOP"))
      .filter(({ subject }) => /^cdc\.shop\.public\.(ping|pong)\./.test(subject))
      .map((one) => one.header("ce-hops") ?? "0");
    expect(hops).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  test("a handler that takes one row through its states may, where it says so, and the limit of hops still ends it", async () => {
    const steps = automation("steps", { on: items.updated(), cycles: "allow" }, async ({ event, tx, skip }) => {
      if (event.after.note === "!!!") return skip("done");
      const note = event.key?.id === 201 ? `${event.after.note}!` : "for ever";
      await tx(({ client }) => client.query("update item set note = $2 where id = $1", [event.key?.id, note]));
      return undefined;
    });
    const worker = await run([steps], { db: pool, maxHops: 5 });
    const status = () => worker.status().automations[0];

    await database.query("insert into item values (201, null), (202, null)");
    await database.query("update item set note = '' where id = 201");
    await waitFor(() => status()?.skipped === 1, { what: "the last state", ...long });
    await database.query("update item set note = '' where id = 202");
    await waitFor(() => status()?.deadBy?.cycle === 1, { what: "the limit", ...long });

    expect(status()).toMatchObject({ handled: 3 + 5, dead: 1 });
  });

  test("is refused at the start where nobody reads its outbox, or it has no inbox", async () => {
    const one = automation("one", { on: items.created() }, async ({ tx }) => {
      await tx(async () => {});
    });
    await using elsewhere = await freshDatabase();
    const other = new Pool({ connectionString: elsewhere.url, max: 1 });
    other.on("error", () => {}); // its database is dropped first
    onTestFinished(() => other.end());
    const start = (input: object): Promise<unknown> => startWorker(input).then((worker) => worker.stop());

    await expect(start(configuration([one], { db: other }))).rejects.toMatchObject({ code: "TX_WITHOUT_INBOX" });
    await elsewhere.query(migrationSql("inbox"));
    await expect(start(configuration([one], { db: other }))).rejects.toMatchObject({ code: "TX_WITHOUT_OUTBOX" });
    await expect(
      start({ ...configuration([one]), sources: { shop: { ...source(), outbox: false } } }),
    ).rejects.toMatchObject({ code: "TX_WITHOUT_OUTBOX" });
    const single = new Client({ connectionString: database.url });
    for (const db of [{}, single, drizzle(single)])
      await expect(start(configuration([one], { db }))).rejects.toMatchObject({ code: "TX_DATABASE_UNKNOWN" });
    const deaf = automation("deaf", { on: event("order.placed") }, () => {});
    await expect(
      start({ ...configuration([deaf], {}), sources: { shop: { ...source(), outbox: false } } }),
    ).rejects.toMatchObject({ code: "AUTOMATION_WITHOUT_OUTBOX" });
  });

  test("is refused at the start for a role without the rights, until it has them", async () => {
    await database.query("create role bare login");
    onTestFinished(async () => void (await database.query("drop owned by bare; drop role bare")));
    const bare = new Pool({ connectionString: database.url.replace("postgres@", "bare@"), max: 1 });
    onTestFinished(() => bare.end());
    const one = automation("one", { on: items.created() }, async () => {});
    const start = (): Promise<unknown> =>
      startWorker(configuration([one], { db: bare })).then((worker) => worker.stop());
    const refused = (await start().catch((error: unknown) => error)) as ConfigError;
    await database.query(refused.hint ?? "");

    expect(refused.code).toBe("TX_RIGHTS_MISSING");
    await start();
  });

  test("works while the database of another source is away, and is not refused for it", async () => {
    const away: OutboxHomes[number] = () => Promise.reject(new TransientError("SOURCE_UNREACHABLE", "away"));
    const other: OutboxHomes[number] = async () => ({ database: "1/other", messages: true });
    const check = (...homes: OutboxHomes) => new TxHome(transactionsOf(pool), homes).check();

    expect(await check(away, home())).toEqual({});
    await expect(check(away, other)).rejects.toMatchObject({ code: "SOURCE_UNREACHABLE" });
    await expect(check(other)).rejects.toMatchObject({ code: "TX_WITHOUT_OUTBOX" });
  });

  test("is refused where its events would be messages, and its source reads only rows", async () => {
    await using other = await freshDatabase();
    await other.query(migrationSql("inbox"));
    const name = new URL(other.url).pathname.slice(1);
    const check = async (messages: boolean): Promise<unknown> => {
      const db = new Pool({ connectionString: other.url, max: 1 });
      const { database: here } = await home()();
      const there: OutboxHomes[number] = async () => ({ database: here.replace(/[^/]*$/, name), messages });
      try {
        return await new TxHome(transactionsOf(db), [there]).check();
      } finally {
        await db.end();
      }
    };

    await expect(check(false)).rejects.toMatchObject({
      code: "TX_WITHOUT_OUTBOX",
      message: "tx() would emit messages (without millrace.emit), and its source reads only rows",
    });
    expect(await check(true)).toEqual({ mode: "message" });
    await other.query(migrationSql("outbox"));
    expect(await check(false)).toEqual({});
    await other.query(`alter database ${name} set millrace.outbox = 'message'`);
    await expect(check(false)).rejects.toMatchObject({
      code: "TX_WITHOUT_OUTBOX",
      message: "tx() would emit messages (as millrace.outbox is set), and its source reads only rows",
    });
    expect(await check(true)).toEqual({});
  });

  test.each(["pg", "drizzle", "postgres.js"] as const)(
    "in shadow its work runs and is rolled back on %s, also what only a commit would refuse",
    async (kind) => {
      const sql = postgres(database.url, { max: 1 });
      onTestFinished(() => sql.end());
      const transaction = transactionsOf({ pg: pool, drizzle: drizzle(pool), "postgres.js": sql }[kind]);
      const name = `shadow-${kind.replace(".", "")}`;
      const counted = async (): Promise<readonly number[]> =>
        await Promise.all(
          [
            `select from millrace.inbox where automation = '${name}'`,
            `select from effect where automation = '${name}'`,
            `select from millrace.outbox where aggregatetype = 'shadowed'`,
          ].map(async (text) => (await database.query(text)).length),
        );
      await database.query(
        "create table if not exists later(id int primary key, of int references item deferrable initially deferred)",
      );
      const shadow = new Shadow();
      const tx = (): Tx =>
        new Tx(
          name,
          { transaction, home: new TxHome(transaction, [home()]), silence: new Silence(realClock) },
          { id: name, inbox: { key: name }, source: "/shop", subject: "public.item/1", lineage: undefined },
          shadow,
        );
      const { signal } = new AbortController();
      const statement = async (client: object, text: string): Promise<unknown> => await sqlRunner(client)(text, []);
      let seen: unknown;
      const result = await tx().run<object, string>(async ({ client, emit }) => {
        await statement(client, `insert into effect(automation, item) values ('${name}', 1)`);
        seen = rowsOf(await statement(client, `select item from effect where automation = '${name}'`));
        await emit("shadowed.done", { key: "1", data: {} });
        return "what it gives";
      }, signal);
      const refused = tx().run<object, unknown>(
        ({ client }) => statement(client, "insert into later values (1, 4711)"),
        signal,
      );

      expect(result).toBe("what it gives");
      expect(seen).toMatchObject([{ item: 1 }]);
      expect(sqlStateOf(await refused.catch((error: unknown) => error))).toBe("23503");
      expect(await counted()).toEqual([0, 0, 0]);
      expect(shadow.wouldBe("done").effects).toEqual([
        { kind: "emit", type: "shadowed.done", count: 1 },
        { kind: "tx", count: 1 },
      ]);
    },
  );

  test("says that the bus is away, and not its database, while it cannot read the key of the lineage", async () => {
    let isAway = true;
    const away = new TransientError("BUS_UNREACHABLE", "no answer");
    const lineageKey = (): Promise<string> => (isAway ? Promise.reject(away) : Promise.resolve("0".repeat(64)));
    const transaction = transactionsOf(pool);
    const tx = (): Promise<unknown> =>
      new Tx(
        "sealed",
        { transaction, home: new TxHome(transaction, [home()]), silence: new Silence(realClock), lineageKey },
        { id: "sealed", inbox: { key: "sealed" }, source: "/shop", subject: "public.item/1", lineage: undefined },
      ).run(async () => "done", new AbortController().signal);
    const failed: unknown = await tx().catch((error: unknown) => error);
    isAway = false;

    expect(failed).toMatchObject({ code: "TX_BUS_UNREACHABLE", message: expect.not.stringContaining("database") });
    expect(isUnavailable(failed)).toBe(true);
    expect(await tx()).toBe("done");
  });

  test("emits as messages where the database has an inbox and no outbox", async () => {
    await using other = await freshDatabase();
    await other.query(`${migrationSql("inbox")}; create table item(id int primary key)`);
    const db = new Pool({ connectionString: other.url, max: 1 });
    db.on("error", () => {}); // its database is dropped first
    onTestFinished(() => db.end());
    const lean = collection<Item>("lean", "public.item");
    const heard: string[] = [];
    const automations = [
      automation("says", { on: lean.created(), db }, async ({ event, tx }) => {
        await tx(({ emit }) => emit("lean.said", { key: event.after.id, data: null }));
      }),
      automation("listens", { on: event("lean.said") }, ({ event }) => void heard.push(event.key)),
    ];
    const worker = await startWorker({
      ...configuration(automations, {}),
      sources: { lean: { kind: "postgres", url: other.url, outbox: { mode: "message" } } },
    });
    await running(worker);

    await other.query("insert into item values (1)");
    await waitFor(() => heard.length > 0, { what: "the event", ...long });
    await worker.stop();
    expect(heard).toEqual(["1"]);
  });

  test("keeps inbox entries for as long as their event may come, and no longer", async () => {
    await using worker = await startAutomations({ url: nats.url, automations: [] });
    const nc = await connect({ servers: nats.url });
    onTestFinished(() => nc.close());
    const jsm = await jetstreamManager(nc);
    const keep = (days: number) => jsm.streams.update("CDC_SHOP", { max_age: nanos(days * 86_400_000) });
    const automations = (["1d", "2d"] as const).map((maxAge) =>
      automation(`up-to-${maxAge}`, { on: items.created(), retry: { maxAge } }, () => {}),
    );
    const databases = new TxDatabases({ automations, fallback: pool, homes: [], outboxes: [], clock: realClock });
    const left = async (): Promise<unknown> => {
      await databases.prune(worker.bus, silentLogger);
      const [row] = await database.query("select count(*)::int n from millrace.inbox where automation = 'aged'");
      return row?.n;
    };
    // One an hour, of twenty days, and more of the last one than one statement deletes.
    await database.query(`insert into millrace.inbox select 'aged', n, '', now() - n * '1 hour'::interval from generate_series(1, 480) n;
      insert into millrace.inbox select 'aged', 480 + n, '', now() - '20 days'::interval from generate_series(1, 6000) n`);

    await keep(0);
    expect(await left()).toBe(6480);
    await keep(10);
    expect(await left()).toBe(12 * 24);
    await keep(3);
    expect(await left()).toBe(5 * 24);
    expect(await worker.bus.keepsForMs("nowhere" as SourceId)).toBeUndefined();
  });
});
