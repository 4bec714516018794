// Copies of documents and items that nobody orders by hand: of collections that are there, by a pattern, and of what a gap covers. By the
// run's target of MongoDB, our wire double, and our double of DynamoDB.

import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../../src/app.ts";
import { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { newestProgress } from "../../support/bus/order-backfill.ts";
import { readStream, type StreamEvent } from "../../support/bus/stream-events.ts";
import { CopiedDocuments } from "../../support/check/copied-documents.ts";
import { CopiedState } from "../../support/check/copied-state.ts";
import type { CopyMarker } from "../../support/check/gap-copies.ts";
import { useTestCredentials } from "../../support/dynamodb/dynamo-target.ts";
import { DoubleShop } from "../../support/mongodb/double-shop.ts";
import { freshMongoDatabase } from "../../support/mongodb/mongo-servers.ts";
import { mongoTarget } from "../../support/mongodb/mongo-target.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

useTestCredentials();

const COUNT = 150;

async function completed(nats: NatsServer, backfill: number): Promise<void> {
  const isSaid = async (): Promise<boolean> => {
    const newest = await newestProgress(nats.url);
    return newest?.backfill === backfill && newest.state === "completed";
  };
  await waitFor(isSaid, { what: `copy ${backfill} to be complete`, timeoutMs: 60_000 });
}

async function start(nats: NatsServer, shop: Readonly<Record<string, unknown>>): Promise<Worker> {
  const worker = await startWorker({ bus: { servers: nats.url, fsync: "always" }, sources: { shop } });
  worker.finished.catch(() => {}); // the test that waits for it sees it
  onTestFinished(() => worker.stop());
  return worker;
}

/** Calls it again and again, with numbers that grow. */
function again(write: (nth: number) => void): { stop(): number } {
  let nth = 0;
  const timer = setInterval(() => write(++nth), 5);
  return {
    stop: () => {
      clearInterval(timer);
      return nth;
    },
  };
}

/** The markers of a stream's gaps, and those of its copies. */
function gapsOf(events: readonly StreamEvent[]) {
  const bodies = (subject: string) =>
    events.flatMap((event) => (event.subject === subject ? [JSON.parse(event.text)] : []));
  return { gaps: bodies("meta.shop.gap"), copies: bodies("meta.shop.backfill") as readonly CopyMarker[] };
}

describe.skipIf(missing("nats"))("what nobody orders by hand", () => {
  test(`collections of ${mongoTarget} are copied once where a pattern says so, also one that is made later`, {
    timeout: 120_000,
  }, async () => {
    const nats = await freshNats();
    await using database = await freshMongoDatabase();
    const { db, name, url } = database;
    for (const one of ["orders", "orders_old", "logs"]) await db.collection(one).insertMany([{ v: 1 }, { v: 2 }]);
    const backfill = { initial: ["orders*", "late", "!orders_old"] };
    const source = { kind: "mongodb", url, database: name, backfill };
    const read = async (): Promise<readonly string[]> =>
      (await readStream(nats.url, "CDC_SHOP")).flatMap(({ subject }) => {
        const [, , , collection = "", op] = subject.split(".");
        return op === "read" ? [collection.replace("~5F", "_")] : [];
      });
    const first = await start(nats, source);
    await completed(nats, 1);
    await first.stop();
    const second = await start(nats, source);
    await db.collection("late").insertOne({ v: 1 });
    await completed(nats, 2);
    await second.stop();

    const all = await read();
    expect(all.filter((one) => one !== "late")).toEqual(["orders", "orders"]);
    expect(await newestProgress(nats.url)).toMatchObject({ collections: [`${name}.late`] });
  });

  test("an oplog that was lost while documents are written ends with what the collection holds, and names from where to where it was not whole", {
    timeout: 120_000,
  }, async () => {
    const nats = await freshNats();
    const shop = await DoubleShop.start({ section: { backfill: "initial", onGap: "backfill" } });
    const { oplog } = shop.double;
    let v = 1;
    const ids = new Set(Array.from({ length: COUNT }, (_, nth) => nth));
    shop.insert(...[...ids].map((_id) => ({ _id, v: 1 })));
    oplog.truncate(); // of these nothing is in the log
    const first = await shop.worker(nats);
    await completed(nats, 1);
    await first.stop();
    const remove = (id: number): void => {
      if (ids.delete(id)) oplog.write("shop", [{ remove: "orders", id }]);
    };
    const update = (id: number): void => {
      if (ids.has(id)) oplog.write("shop", [{ update: "orders", id, set: { v: ++v } }]);
    };
    for (let nth = 0; nth < COUNT; nth += 3) remove(nth);
    for (let nth = 0; nth < COUNT; nth += 7) update(nth);
    oplog.truncate();
    const writing = again((nth) => {
      update((nth * 11) % COUNT);
      remove((nth * 17) % COUNT);
      ids.add(COUNT + nth);
      shop.insert({ _id: COUNT + nth, v: ++v });
    });
    const second = await shop.worker(nats);
    await completed(nats, 2);
    const last = COUNT + writing.stop() + 1;
    ids.add(last);
    shop.insert({ _id: last, v: ++v });
    const stored = async (): Promise<readonly StreamEvent[] | undefined> => {
      const events = await readStream(nats.url, "CDC_SHOP");
      return events.some(({ text }) => text.includes(`"_id":${last}`)) ? events : undefined;
    };
    const events = await waitFor(stored, { what: "the stream to hold all" });
    await second.stop();
    const state = new CopiedDocuments(events);
    const { gaps, copies } = gapsOf(events);

    expect(state.wrong).toEqual([]);
    const held = [...(oplog.collection("shop", "orders")?.documents.values() ?? [])].map((one) => JSON.stringify(one));
    expect(
      Object.values(state.documents("orders"))
        .map((one) => JSON.stringify(one))
        .toSorted(),
    ).toEqual(held.toSorted());
    expect(held).toHaveLength(ids.size);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]).toMatchObject({ code: "OPLOG_LOST", after: expect.any(String), upTo: expect.any(String) });
    const [gap] = state.progress?.gaps ?? [];
    expect(gaps[0]).toMatchObject(gap ?? { gap: "none" });
    expect(copies.map(({ gaps: made }) => made)).toEqual(
      copies.map(({ backfill }) => (backfill === 2 ? [gap] : undefined)),
    );
  });

  test("a stream of DynamoDB that was trimmed while items are written does so too, and tells of the table alone", {
    timeout: 120_000,
  }, async () => {
    const nats = await freshNats();
    const double = new DynamoDouble();
    await using http = await DynamoHttp.start(double);
    let v = 1;
    const put = (table: string, id: number): void => double.put(table, { id: { S: `i${id}` }, v: { N: String(++v) } });
    const remove = (id: number): void =>
      void double.answer("DynamoDB_20120810", "DeleteItem", { TableName: "carts", Key: { id: { S: `i${id}` } } });
    for (const table of ["carts", "orders"]) {
      double.createTable(table, { stream: false });
      for (let nth = 0; nth < COUNT; nth++) put(table, nth);
      double.life.enable(table, "NEW_AND_OLD_IMAGES");
    }
    const source = {
      ...{ kind: "dynamodb", region: "eu-west-1", endpoint: http.url, tables: ["carts", "orders"] },
      ...{ poll: { minMs: 20, maxIdleMs: 100 }, scan: { streamDelay: "200ms" } },
      ...{ backfill: "initial", onGap: "backfill" },
    };
    const first = await start(nats, source);
    await completed(nats, 1);
    put("carts", 1);
    put("orders", 1);
    await waitFor(() => (first.status().sources[0]?.published ?? 0) >= 2, { what: "changes to be published" });
    await first.stop();
    for (let nth = 0; nth < COUNT; nth += 3) remove(nth);
    for (let nth = 0; nth < COUNT; nth += 7) put("carts", nth);
    double.life.trim("carts");
    const writing = again((nth) => {
      put("carts", 3 * ((nth * 11) % COUNT) + 1);
      remove((nth * 17) % COUNT);
      put("orders", nth % COUNT);
    });
    const second = await start(nats, source);
    await completed(nats, 2);
    writing.stop();
    for (const table of ["carts", "orders"]) put(table, 9999);
    const stored = async (): Promise<readonly StreamEvent[] | undefined> => {
      const events = await readStream(nats.url, "CDC_SHOP");
      return events.filter(({ text }) => text.includes('"i9999"')).length === 2 ? events : undefined;
    };
    const events = await waitFor(stored, { what: "the stream to hold all" });
    await second.stop();
    const state = new CopiedState(events);
    const { gaps, copies } = gapsOf(events);

    expect(state.wrong).toEqual([]);
    for (const table of ["carts", "orders"]) {
      const rows = [...double.state.table(table).items.values()].map(({ id, v: version }) => `${id?.S} ${version?.N}`);
      const told = Object.values(state.table(table)).map((row) => `${Object(row).id} ${Object(row).v}`);
      expect(told.toSorted(), table).toEqual(rows.toSorted());
    }
    expect(state.dropped).toBeGreaterThan(COUNT / 5);
    expect(gaps).toHaveLength(1);
    expect(gaps[0]).toMatchObject({ code: "SHARD_TRIMMED", table: "carts", upTo: expect.any(String) });
    const [gap] = state.progress?.gaps ?? [];
    expect(gap).toMatchObject({ code: "SHARD_TRIMMED", collections: ["_.carts"] });
    expect(copies.map(({ gaps: made }) => made)).toEqual(
      copies.map(({ backfill }) => (backfill === 2 ? [gap] : undefined)),
    );
  });
});
