// Events out of applications of every kind: written in their own transactions, and one message each in the stream.

import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { drizzle as drizzleOnPostgresJs } from "drizzle-orm/postgres-js";
import { Kysely, PostgresDialect } from "kysely";
import { Pool } from "pg";
import postgres from "postgres";
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startWorker, type Worker } from "../../../src/app.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { migrationSql } from "../../../src/outbox/migration-sql.ts";
import { outbox, outboxTable, writeLineage } from "../../../src/outbox.ts";
import { readStream, type StreamEvent } from "../../support/bus/stream-events.ts";
import { type Database, freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const rollback = new Error("rolled back on purpose");
const absent = missing("postgres", "nats");

describe.skipIf(absent)("an event", () => {
  let nats: NatsServer;
  let database: Database;
  let pool: Pool;
  let worker: Worker;
  let emitted = 0;

  beforeAll(async () => {
    if (absent) return;
    nats = await freshNats();
    database = await freshDatabase();
    pool = new Pool({ connectionString: database.url, max: 2 });
    pool.on("error", () => {});
    await database.query(`${migrationSql("outbox")}; create table public.item(id int primary key);
      create table public.debezium(id uuid, aggregatetype varchar(255), aggregateid varchar(255), type varchar(255), payload text, primary key (id))`);
    const source = { kind: "postgres", url: database.url };
    worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: {
        shop: { ...source, tables: ["*.*", "!public.debezium"], outbox: true },
        moved: { ...source, tables: ["public.item"], outbox: { table: "public.debezium" } },
        bare: { ...source, tables: ["public.item"], outbox: { mode: "message" } },
      },
    });
    await waitFor(() => worker.status().sources.every(({ state }) => state === "running"), { what: "the worker" });
    await waitFor(async () => (await readStream(nats.url, "CDC_MOVED")).length > 1, { what: "the first start" });
    await waitFor(async () => (await readStream(nats.url, "CDC_SHOP")).length > 1, { what: "the first start" });
    await waitFor(async () => (await readStream(nats.url, "CDC_BARE")).length > 1, { what: "the first start" });
  });

  afterAll(async () => {
    await worker?.stop();
    await pool?.end();
    await database?.[Symbol.asyncDispose]();
  });

  const arrived = (subject: RegExp, stream = "CDC_SHOP"): Promise<readonly StreamEvent[]> =>
    waitFor(
      async () => {
        const events = (await readStream(nats.url, stream)).filter((event) => subject.test(event.subject));
        return events.length > 0 && events;
      },
      { what: `an event ${subject}` },
    );

  /** Rolls one event back, commits another, and waits for that alone. */
  async function check(transact: (work: (client: object) => Promise<void>) => Promise<void>): Promise<void> {
    const key = ++emitted;
    const event = (word: string) => ({ key, data: { word, quote: "'\\\"\n\u2028" }, headers: { tenant: "süd, ost" } });
    await expect(
      transact(async (client) => {
        await outbox(client).emit(`client.n${key}`, event("gone"));
        throw rollback;
      }),
    ).rejects.toThrow(rollback.message);
    let id = "";
    await transact(async (client) => {
      id = await outbox(client).emit(`client.n${key}`, event("there"));
    });
    const [only, ...more] = await arrived(new RegExp(`^events\\.shop\\.client\\.n${key}\\.`));

    expect(more).toEqual([]);
    expect(only?.header("ce-id")).toBe(id);
    expect(only?.header("ce-subject")).toBe(`client/${key}`);
    expect(only?.header("tenant")).toBe("s%C3%BCd,%20ost");
    expect(JSON.parse(only?.text ?? "")).toEqual(event("there").data);
  }

  test("from drizzle", () => check((work) => drizzle({ client: pool }).transaction((tx) => work(tx))));

  test("from pg", () =>
    check(async (work) => {
      const client = await pool.connect();
      try {
        await client.query("begin");
        await work(client);
        await client.query("commit");
      } catch (error) {
        await client.query("rollback");
        throw error;
      } finally {
        client.release();
      }
    }));

  test("from postgres.js", async () => {
    const client = postgres(database.url, { max: 1 });
    await check(async (work) => {
      await client.begin((tx) => work(tx));
    });
    await client.end();
  });

  test("from Kysely", async () => {
    const db = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
    await check((work) => db.transaction().execute((tx) => work(tx)));
  });

  test.each(["Prisma's raw statement", "a plain function"])("from %s", (which) =>
    check(async (work) => {
      const client = await pool.connect();
      const run = (text: string, values: readonly unknown[]): Promise<unknown> => client.query(text, [...values]);
      const prisma = { $queryRawUnsafe: (text: string, ...values: readonly unknown[]) => run(text, values) };
      try {
        await client.query("begin");
        await work(which === "a plain function" ? run : prisma);
        await client.query("commit");
      } catch (error) {
        await client.query("rollback");
        throw error;
      } finally {
        client.release();
      }
    }),
  );

  test("by SQL alone, in its place among the rows, without leaving a row", async () => {
    await database.query(`begin; insert into item values (1); select millrace.emit('sql.alone', 'k', '{"n": 1.50}', '{"a": "b"}');
      insert into item values (2); commit`);
    const stream = await waitFor(
      async () => {
        const all = (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => /item|\.sql\./.test(subject));
        return all.length >= 3 && all;
      },
      { what: "both rows and the event" },
    );

    expect(stream.map(({ subject }) => subject.split(".").slice(0, 4).join("."))).toEqual([
      "cdc.shop.public.item",
      "events.shop.sql.alone",
      "cdc.shop.public.item",
    ]);
    expect(stream[1]?.text).toBe('{"n": 1.50}');
    expect(new Set(stream.map(({ header }) => header("Cdc-Tx"))).size).toBe(1);
    expect(new Set(stream.map(({ header }) => header("Nats-Batch-Id"))).size).toBe(1);
    expect(await database.query("select from millrace.outbox")).toEqual([]);
  });

  test("as a row comes to every source with an outbox, and as a message, which any role may write, only where those are read", async () => {
    await database.query(`begin; set local millrace.outbox = 'message'; select millrace.emit('any.way', 'message', '2');
      set local millrace.outbox = 'delete'; select millrace.emit('any.way', 'row', '1'); commit`);

    for (const [stream, subjects] of [
      ["CDC_SHOP", ["any/row"]],
      ["CDC_MOVED", ["any/row"]],
      ["CDC_BARE", ["any/message", "any/row"]],
    ] as const) {
      const come = await waitFor(
        async () => {
          const events = await arrived(/\.any\.way\./, stream);
          return events.some(({ header }) => header("ce-subject") === "any/row") && events;
        },
        { what: `the row in ${stream}` },
      );
      expect(come.map(({ header }) => header("ce-subject"))).toEqual(subjects);
    }
  });

  test("by a plain insert through drizzle's table stays, until somebody deletes it", async () => {
    const row = { aggregatetype: "drizzle", aggregateid: "7", type: "row", payload: { n: 1 } };
    await drizzle({ client: pool }).insert(outboxTable).values(row);
    const [event] = await arrived(/^events\.shop\.drizzle\.row\./);
    const [kept] = await database.query<{ id: string }>("select id from millrace.outbox");

    expect(event?.header("ce-id")).toBe(kept?.id);
    await database.query("update millrace.outbox set type = 'other'; delete from millrace.outbox");
  });

  test("as a message needs no table, and carries what caused its transaction", async () => {
    await drizzle({ client: pool }).transaction(async (tx) => {
      await writeLineage(tx, { correlationId: "first", causationId: "shop.1", hops: 3, automation: "a", trail: [] });
      await tx.execute(sql`insert into item values (3)`);
      await outbox(tx, { mode: "message" }).emit("without.table", { key: "ü", data: [1, null], headers: { a: "b" } });
    });
    await database.query(
      "begin; set local millrace.outbox = 'message'; select millrace.emit('without.table', 'x', '2'); commit",
    );
    const [first] = await arrived(/^events\.bare\.without\.table\./, "CDC_BARE");
    const [row] = await arrived(/item\.created.*$/, "CDC_BARE");
    const both = await waitFor(
      async () => {
        const events = await arrived(/^events\.bare\.without\.table\./, "CDC_BARE");
        return events.length === 2 && events;
      },
      { what: "both" },
    );

    expect(both.map(({ text }) => text)).toEqual(["[1,null]", "2"]);
    expect(first?.header("ce-subject")).toBe("without/%C3%BC");
    expect(first?.header("a")).toBe("b");
    expect(row?.header("ce-correlationid")).toBeUndefined();
    const all = await readStream(nats.url, "CDC_BARE");
    const caused = all.filter(({ header }) => header("ce-correlationid") === "first");
    expect(caused.map(({ subject }) => subject.split(".")[0])).toEqual(["cdc", "events"]);
    expect(caused.map(({ header }) => header("ce-causationid"))).toEqual(["shop.1", "shop.1"]);
    // Only tx() of an automation can say by whose hands, and how often: else anybody could stop an automation.
    expect(all.filter(({ header }) => header("ce-hops") !== undefined)).toEqual([]);
  });

  test("kept by the database's setting is cleaned up by the worker when it is old enough", async () => {
    await using other = await freshDatabase();
    await other.query(`${migrationSql("outbox")}; create table item(id int primary key)`);
    await other.query(`alter database ${new URL(other.url).pathname.slice(1)} set millrace.outbox = 'keep'`);
    const writer = await other.connect();
    for (const n of [1, 2]) await writer.query("select millrace.emit('kept.row', $1, 'null')", [n]);
    await writer.query("update millrace.outbox set created_at = now() - interval '8 days' where aggregateid = '1'");
    const source = { kind: "postgres", url: other.url, slot: "kept", publication: "kept", outbox: { keep: "7d" } };
    const second = await startWorker({ bus: { servers: nats.url, fsync: "always" }, sources: { kept: source } });
    const left = await waitFor(
      async () => {
        const { rows } = await writer.query<{ aggregateid: string }>("select aggregateid from millrace.outbox");
        return rows.length === 1 && rows;
      },
      { what: "the old row to be deleted" },
    );
    await second.stop();
    await writer.end();

    expect(left).toEqual([{ aggregateid: "2" }]);
  });

  test("in a table of Debezium's router works as it is, and a row that cannot be one stops nothing", async () => {
    const insert = "insert into debezium values (gen_random_uuid(), $1, $2, $3, $4)";
    await pool.query(insert, ["customer", "9", "CustomerMoved", '{"id":9}']);
    await pool.query(insert, ["customer", "9", "CustomerMoved", "not json"]);
    await pool.query(insert, ["customer", "9", "CustomerLeft", null]);
    const [left] = await arrived(/CustomerLeft/, "CDC_MOVED");
    const own = (await readStream(nats.url, "CDC_MOVED")).filter(({ subject }) => /customer|poison/.test(subject));

    expect(own.map(({ subject }) => subject.split(".").slice(0, 4).join("."))).toEqual([
      "events.moved.customer.CustomerMoved",
      "meta.moved.poison",
      "events.moved.customer.CustomerLeft",
    ]);
    expect(left?.text).toBe("null");
    expect(JSON.parse(own[1]?.text ?? "")).toMatchObject({ code: "OUTBOX_MALFORMED", collection: "debezium" });
    const letters = (await readStream(nats.url, "MILLRACE_DEAD")).filter(({ subject }) => subject.endsWith(".moved"));
    expect(letters).toHaveLength(1);
  });

  describe("that cannot travel fails its own transaction:", () => {
    const big = "x".repeat(1_100_000);

    test.each([
      ["it is larger than the bus takes", "select millrace.emit('a.b', 'k', to_jsonb(repeat('x', 1100000)))", "54000"],
      ["of a type without a dot", "select millrace.emit('a', 'k', '1')", "23514"],
      ["without a key", "select millrace.emit('a.b', null, '1')", "23514"],
      ["with a header of ours", `select millrace.emit('a.b', 'k', '1', '{"Cdc-Pos": "1"}')`, "23514"],
      ["with a header that is no text", `select millrace.emit('a.b', 'k', '1', '{"n": 1}')`, "23514"],
      ["by a plain insert too", "insert into millrace.outbox values (default, '', 'k', 'b', '1')", "23514"],
      [
        "with an aggregate that has a dot",
        "insert into millrace.outbox values (default, 'a.b', 'k', 'c', '1')",
        "23514",
      ],
      ["with a key too long to travel", "select millrace.emit('a.b', repeat('ü', 6000), '1')", "54000"],
      [
        "with headers too long to travel",
        `select millrace.emit('a.b', 'k', '1', jsonb_build_object('a', repeat('x', 20000), 'b', repeat('x', 20000)))`,
        "54000",
      ],
      ["in an unknown mode", "set local millrace.outbox = 'other'; select millrace.emit('a.b', 'k', '1')", "22023"],
    ])("%s", async (_, text, code) => {
      for (const mode of text.startsWith("select") ? ["delete", "message"] : ["delete"]) {
        const failing = database.query(`set local millrace.outbox = '${mode}'; ${text}`);
        await expect(failing).rejects.toMatchObject({ code });
      }
    });

    test("the limit is the database's own setting", async () => {
      const emit = "select millrace.emit('limit.set', 'k', to_jsonb(repeat('x', 2000)))";
      await expect(database.query(`set local millrace.max_payload = 3000; ${emit}`)).rejects.toThrow(
        "OUTBOX_EVENT_TOO_LARGE: the event limit.set needs",
      );
      await database.query(`set local millrace.max_payload = 4000; ${emit}`);
    });

    test("the longest key and headers that are allowed do travel, and emit() counts as the database does", async () => {
      // 3 for each byte of ü, and the header's line: 6 × 5000 + 1 + 2 + 2 + what is left.
      const key = "ü".repeat(5000);
      const longest = 32_768 - 6 * 5000 - 5;
      const insert = "select millrace.emit('longest.head', $1, '1', jsonb_build_object('a', repeat('x', $2)))";
      for (const mode of ["delete", "message"]) {
        const client = await pool.connect();
        await client.query(`set millrace.outbox = '${mode}'`);
        await expect(client.query(insert, [key, longest + 1])).rejects.toThrow("OUTBOX_EVENT_TOO_LARGE");
        await client.query(insert, [key, longest]);
        client.release(true);
      }
      const event = (length: number) => ({ key, data: 1, headers: { a: "x".repeat(length) } });
      const run = (text: string, values: readonly string[]) => pool.query(text, [...values]);
      await expect(outbox(run).emit("longest.head", event(longest + 1))).rejects.toMatchObject({
        code: "OUTBOX_EVENT_TOO_LARGE",
      });
      await outbox(run).emit("longest.head", event(longest));

      const events = await waitFor(
        async () => {
          const found = await arrived(/^events\.bare\.longest\.head\./, "CDC_BARE");
          return found.length === 3 && found;
        },
        { what: "all three" },
      );
      expect(events.map(({ header }) => header("a")?.length)).toEqual([longest, longest, longest]);
    });

    test("a caller's own id is the event's in every way of writing, in small letters, and none is a new one", async () => {
      const id = "ABCDEF00-0000-4000-8000-0000000000";
      const run = (text: string, values: readonly string[]) => pool.query(text, [...values]);
      const emitted = [
        await outbox(run).emit("own.id", { key: 1, data: 1, id: `${id}01` }),
        await outbox(run, { mode: "message" }).emit("own.id", { key: 1, data: 1, id: `${id}02` }),
        (await pool.query<{ id: string }>("select millrace.emit('own.id', '1', '1', '{}', null) as id")).rows[0]?.id,
      ];
      await database.query(
        "set local millrace.outbox = 'message'; select millrace.emit('own.id', '1', '1', '{}', null)",
      );
      const events = await waitFor(
        async () => {
          const found = await arrived(/^events\.bare\.own\.id\./, "CDC_BARE");
          return found.length >= 4 && found;
        },
        { what: "all four" },
      );

      expect(emitted.slice(0, 2)).toEqual([`${id}01`.toLowerCase(), `${id}02`.toLowerCase()]);
      expect(events.slice(0, 3).map(({ header }) => header("ce-id"))).toEqual(emitted);
    });

    test("maxBytes is the limit of an event without a table", async () => {
      const event = { key: 1, data: "x".repeat(2000) };
      const of = (maxBytes: number) =>
        outbox(async () => [{ written: "0/16B3748" }], { mode: "message", maxBytes }).emit("a.b", event);

      await expect(of(3000)).rejects.toMatchObject({ code: "OUTBOX_EVENT_TOO_LARGE" });
      await of(4000);
    });

    test("a lineage that says nothing fails before it is written", async () => {
      const cause = { correlationId: "a", causationId: "b", hops: -1, automation: "c", trail: [] };

      await expect(writeLineage(async () => expect.unreachable(), cause)).rejects.toMatchObject({
        code: "LINEAGE_MALFORMED",
      });
    });

    test.each([
      ["too large for the bus", "a.b", { key: 1, data: big }, "OUTBOX_EVENT_TOO_LARGE"],
      ["without a name", "a.", { key: 1, data: 1 }, "OUTBOX_EVENT_INVALID"],
      ["without data", "a.b", { key: 1, data: undefined }, "OUTBOX_EVENT_INVALID"],
      ["with an id that is no uuid", "a.b", { key: 1, data: 1, id: "1" }, "OUTBOX_EVENT_INVALID"],
      [
        "with a header that breaks the line",
        "a.b",
        { key: 1, data: 1, headers: { "a\nb": "" } },
        "OUTBOX_EVENT_INVALID",
      ],
    ])("%s, said by emit() before anything is written", async (_, type, event, code) => {
      const emit = outbox(async () => expect.unreachable(), { mode: "message" }).emit(type, event);
      await expect(emit).rejects.toMatchObject({ code });
    });

    test("its schema refuses the data, which the error does not quote", async () => {
      const events = {
        "order.placed": z.object({ total: z.number() }),
        "order.paid": v.object({
          at: v.pipe(
            v.string(),
            v.transform((text) => new Date(text)),
          ),
        }),
      };
      const written: string[] = [];
      const run = async (_: string, [, , data = "", , id]: readonly string[]): Promise<object> => {
        written.push(data);
        return [{ written: id }];
      };
      const { emit } = outbox(run, { events });

      await expect(emit("order.placed", { key: 1, data: { total: "secret" as never } })).rejects.toThrow(
        /its schema refuses data\.total$/,
      );
      await expect(emit("order.gone" as never, { key: 1, data: 1 as never })).rejects.toThrow("no such type");
      await emit("order.placed", { key: 1, data: { total: 5 } });
      await emit("order.paid", { key: 1, data: { at: "2026-01-01" } });
      expect(written).toEqual(['{"total":5}', '{"at":"2026-01-01T00:00:00.000Z"}']);
    });

    test.each([
      ["resolves to nothing", async () => {}],
      ["resolves to no rows", async () => ({ rows: [] })],
      ["has the methods of a driver and does something else", { query: async () => [[{ id: "another" }], []] }],
      ["answers with another event's id", { execute: async () => [{ written: crypto.randomUUID() }] }],
    ])("a client that %s is not believed", async (_, client) => {
      for (const options of [{}, { mode: "message" }] as const) {
        await expect(outbox(client, options).emit("a.b", { key: 1, data: 1 })).rejects.toMatchObject({
          code: "OUTBOX_NOT_WRITTEN",
        });
      }
    });

    test("a pool, on which an event would commit by itself, is refused", async () => {
      const sql = postgres(database.url, { max: 1, onnotice: () => {} });
      const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
      const prisma = { $connect: async () => {}, $queryRawUnsafe: async () => [] };
      const typeorm = { getRepository: () => {}, query: async () => [], queryRunner: undefined };
      for (const one of [
        pool,
        drizzle({ client: pool }),
        drizzleOnPostgresJs({ client: sql }),
        sql,
        kysely,
        prisma,
        typeorm,
      ]) {
        expect(() => outbox(one)).toThrow(expect.objectContaining({ code: "OUTBOX_ON_A_POOL" }));
      }
      const client = await database.connect();
      await client.query("begin");
      for (const one of [client, drizzle({ client })]) await outbox(one).emit("lone.client", { key: 1, data: 1 });
      await client.query("rollback");
      await client.end();
      await expect(
        drizzleOnPostgresJs({ client: sql }).transaction(async (tx) => {
          await outbox(tx).emit("lone.client", { key: 1, data: 1 });
          throw rollback;
        }),
      ).rejects.toThrow(rollback.message);
      await sql.end();
    });

    test("a client that is none", () => {
      expect(() => outbox({})).toThrow("this is no transaction");
    });
  });
});
