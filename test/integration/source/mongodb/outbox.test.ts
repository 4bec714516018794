// Events out of an application with MongoDB: written in its own transactions, and one message each in the stream.

import { randomUUID } from "node:crypto";
import { Binary, type ClientSession, type Collection } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWorker, type Worker } from "../../../../src/app.ts";
import { automation } from "../../../../src/automation/define/automation.ts";
import { event } from "../../../../src/automation/define/event-trigger.ts";
import type { NatsServer } from "../../../../src/dev/nats-server.ts";
import type { DomainEvent } from "../../../../src/event/parse-domain-event.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { outbox } from "../../../../src/outbox.ts";
import { mongoConnector } from "../../../../src/source/mongodb/connector.ts";
import type { Finding } from "../../../../src/telemetry/finding.ts";
import { readStream, type StreamEvent } from "../../../support/bus/stream-events.ts";
import { freshMongoDatabase, type MongoDatabase } from "../../../support/mongodb/mongo-servers.ts";
import { mongoTarget } from "../../../support/mongodb/mongo-target.ts";
import { freshNats, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

interface Entry {
  readonly _id: string;
  readonly [name: string]: unknown;
}

const absent = missing("mongodb", "nats");
const rollback = new Error("rolled back on purpose");

describe.skipIf(absent)(`on ${mongoTarget}, an event of the outbox`, () => {
  let nats: NatsServer;
  let database: MongoDatabase;
  let worker: Worker;
  let orders: Collection<{ _id: string; n?: number }>;
  let events: Collection<Entry>;
  const shipped: DomainEvent[] = [];

  beforeAll(async () => {
    if (absent) return;
    nats = await freshNats();
    database = await freshMongoDatabase();
    orders = await database.db.createCollection("orders");
    events = await database.db.createCollection("outbox");
    worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "mongodb", ...section() } },
      automations: [
        automation("ship", { on: event("order.shipped") }, async ({ event: one }) => {
          shipped.push(one);
        }),
      ],
    });
    await waitFor(() => worker.status().sources.every(({ state }) => state === "running"), { what: "the worker" });
  });

  afterAll(async () => {
    await worker?.stop();
    await database?.[Symbol.asyncDispose]();
  });

  const section = (collection = "outbox"): object => ({
    url: database.url,
    database: database.name,
    outbox: { collection },
  });

  /** Commits unless the work throws. */
  async function transact(work: (session: ClientSession) => Promise<void>): Promise<void> {
    await database.client.withSession((session) => session.withTransaction(() => work(session)));
  }

  /** All that is of these keys, once the last of them is there: by documents' keys and by events' types. */
  async function until(last: RegExp): Promise<readonly StreamEvent[]> {
    return waitFor(
      async () => {
        const stream = await readStream(nats.url, "CDC_SHOP");
        return stream.some((event) => last.test(`${event.subject} ${event.header("ce-subject")}`)) && stream;
      },
      { what: `an event ${last}` },
    );
  }

  test("is in the stream once, where it was written in its transaction, and never where that was rolled back", async () => {
    const key = `o-${randomUUID()}`;
    let id = "";
    await transact(async (session) => {
      await orders.insertOne({ _id: key }, { session });
      id = await outbox(session, { collection: events }).emit("order.placed", {
        key,
        data: { "a.b": 1, $c: [1.5, null], d: "süß\u2028" },
        headers: { tenant: "süd" },
      });
      await orders.updateOne({ _id: key }, { $set: { n: 1 } }, { session });
    });
    await expect(
      transact(async (session) => {
        await outbox(session, { collection: events }).emit("order.gone", { key, data: null });
        throw rollback;
      }),
    ).rejects.toThrow(rollback.message);
    await transact(async (session) => {
      await outbox(session, { collection: events }).emit("order.closed", { key, data: null });
    });
    const stream = await until(new RegExp(`order.closed.* order/${key}$`));
    const mine = stream.filter((event) => event.header("ce-subject")?.endsWith(`/${key}`));

    expect(mine.map(({ subject }) => subject.split(".").slice(0, -1).join("."))).toEqual([
      `cdc.shop.${database.name}.orders.created`,
      "events.shop.order.placed",
      `cdc.shop.${database.name}.orders.updated`,
      "events.shop.order.closed",
    ]);
    const [created, placed, updated] = mine;
    expect(placed?.text).toBe('{"a.b":1,"$c":[1.5,null],"d":"süß\u2028"}');
    expect(placed?.header("ce-id")).toBe(id);
    expect(placed?.header("tenant")).toBe("s%C3%BCd");
    expect(placed?.header("Cdc-Tx")).toMatch(/^[0-9a-f]{32}:\d+$/);
    expect([created, placed, updated].map((event) => event?.header("Cdc-Tx"))).toEqual(
      Array(3).fill(placed?.header("Cdc-Tx")),
    );
    expect([created, placed, updated].map((event) => event?.header("Cdc-Tx-Last"))).toEqual([
      undefined,
      undefined,
      "1",
    ]);
    expect(stream.filter(({ subject }) => subject.includes(".outbox."))).toEqual([]);
  });

  test("comes in commit order, however soon it is taken out of the outbox", async () => {
    const run = randomUUID();
    const emitted: [string[], string[], string[]] = [[], [], []];
    const write = async (writer: 0 | 1 | 2): Promise<void> => {
      for (let nth = 0; nth < 25; nth++) {
        const key = `${run}-${writer}`;
        const ids: string[] = [];
        await transact(async (session) => {
          ids.length = 0;
          const box = outbox(session, { collection: events });
          for (let part = 0; part < 2; part++) ids.push(await box.emit("bulk.moved", { key, data: { nth, part } }));
        });
        emitted[writer].push(...ids);
        await events.updateMany({ _id: { $in: ids } }, { $set: { seen: true } });
        await events.deleteMany({ _id: { $in: ids } });
      }
    };
    const writers = [0, 1, 2] as const;
    await Promise.all(writers.map(write));
    await transact(async (session) => {
      await outbox(session, { collection: events }).emit("bulk.ended", { key: run, data: null });
    });
    const stream = await until(new RegExp(`bulk.ended.* bulk/${run}$`));

    for (const writer of writers) {
      const mine = stream.filter((event) => event.header("ce-subject") === `bulk/${run}-${writer}`);
      expect(mine.map((event) => event.header("ce-id"))).toEqual(emitted[writer]);
    }
    const transactions = stream.filter(({ subject }) => subject.startsWith("events.shop.bulk.moved."));
    expect(transactions.map((event) => event.header("Cdc-Tx-Last"))).toEqual(
      transactions.map((_, nth) => (nth % 2 === 0 ? undefined : "1")),
    );
  });

  test("that is none is a dead letter with a marker in its place, and what follows comes", async () => {
    const key = `o-${randomUUID()}`;
    await transact(async (session) => {
      await events.insertOne({ _id: "no uuid", type: "secret" }, { session });
      await outbox(session, { collection: events }).emit("order.kept", { key, data: null });
    });
    await events.insertOne({
      _id: randomUUID(),
      aggregatetype: "order",
      aggregateid: key,
      type: "late",
      payload: { n: 1 },
    });
    const stream = await until(new RegExp(`order.late.* order/${key}$`));
    const at = stream.findIndex(({ subject }) => subject === "meta.shop.poison");
    const [poison, kept, late] = stream.slice(at);

    expect(JSON.parse(poison?.text ?? "")).toMatchObject({
      ...{ code: "OUTBOX_MALFORMED", namespace: database.name, collection: "outbox" },
      message: expect.stringContaining("it has no payload"),
    });
    expect(poison?.header("Cdc-Tx")).toBe(kept?.header("Cdc-Tx"));
    expect(kept?.subject).toMatch(/^events\.shop\.order\.kept\./);
    expect(late?.text).toBe('{"n":1}');
    const dead = await readStream(nats.url, "MILLRACE_DEAD");
    expect(dead.map(({ subject }) => subject)).toEqual(["dead._source.shop"]);
    expect(dead[0]?.header("Millrace-Error")).toBe("OUTBOX_MALFORMED");
  });

  test("may be written by anything, and says what caused it", async () => {
    const key = `o-${randomUUID()}`;
    const id = randomUUID();
    await events.insertOne({
      _id: new Binary(Buffer.from(id.replaceAll("-", ""), "hex"), 4) as never,
      ...{ aggregatetype: "order.with.dots", aggregateid: key, type: "placed", payload: "[1e400]" },
      lineage: { correlationId: "first", causationId: "second" },
    });
    const stream = await until(new RegExp(`/${key}$`));
    const event = stream.find((one) => one.header("ce-id") === id);

    expect(event?.subject).toMatch(/^events\.shop\.order~2Ewith~2Edots\.placed\.p\d\d$/);
    expect(event?.text).toBe("[1e400]");
    expect(["ce-correlationid", "ce-causationid", "ce-hops", "Cdc-Tx"].map((name) => event?.header(name))).toEqual([
      ...["first", "second", undefined, undefined],
    ]);
  });

  test("starts the automations that wait for its type", async () => {
    const key = `o-${randomUUID()}`;
    await transact(async (session) => {
      await outbox(session, { collection: events }).emit("order.shipped", {
        key,
        data: { n: 5 },
        headers: { to: "x" },
      });
    });
    await waitFor(() => shipped.length > 0, { what: "the handler" });
    expect(shipped).toMatchObject([
      { type: "order.shipped", source: "shop", key, data: { n: 5 }, headers: { to: "x" } },
    ]);
  });

  test("needs its collection at a first start, and check says when nothing empties it", async () => {
    const check = async (collection?: string): Promise<readonly Finding[]> => {
      const config = mongoConnector.parse(section(collection), "sources.shop");
      const context = { saved: undefined, stored: undefined };
      const findings: Finding[] = [];
      for await (const finding of mongoConnector.check("shop" as SourceId, config, context)) findings.push(finding);
      return findings;
    };
    const about = (findings: readonly Finding[]) => findings.filter(({ code }) => code.startsWith("OUTBOX"));

    expect(about(await check("absent"))).toMatchObject([
      {
        level: "fail",
        code: "OUTBOX_NOT_FOUND",
        subject: "collection absent",
        fix: expect.stringContaining("createCollection"),
      },
    ]);
    const [grows] = about(await check());
    expect(grows).toMatchObject({ level: "warn", code: "OUTBOX_GROWS", subject: `outbox ${database.name}.outbox` });
    await events.createIndex({ created_at: 1 }, { expireAfterSeconds: 604800 });
    expect(about(await check())).toMatchObject([{ level: "ok", code: "OUTBOX" }]);
  });
});
