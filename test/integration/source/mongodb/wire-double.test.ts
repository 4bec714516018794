// The wire double by itself, read by the official driver's own `watch()`: it is to be taken for a server, and is none.

import { type ChangeStream, type ChangeStreamDocument, MongoClient, Timestamp } from "mongodb";
import { describe, expect, onTestFinished, test } from "vitest";
import { type DoubleOptions, MongoDouble } from "../../../support/mongodb/double/mongodb-double.ts";

type Event = ChangeStreamDocument & Record<string, unknown>;

async function start(options: DoubleOptions = {}): Promise<{ double: MongoDouble; client: MongoClient }> {
  const double = await MongoDouble.start(options);
  onTestFinished(() => double[Symbol.asyncDispose]());
  const client = new MongoClient(double.url, { serverSelectionTimeoutMS: 3000 });
  onTestFinished(() => client.close());
  return { double, client };
}

async function take(stream: ChangeStream, count: number): Promise<readonly Event[]> {
  const events: Event[] = [];
  while (events.length < count) {
    const event = await stream.tryNext();
    if (event !== null) events.push(event as Event);
  }
  return events;
}

const kinds = (events: readonly Event[]): readonly string[] => events.map(({ operationType }) => operationType);

describe("the wire double of MongoDB", () => {
  test("shows the driver inserts, updates, deletes and transactions in their order, with images", async () => {
    const { double, client } = await start();
    const at = double.oplog.tick();
    double.oplog.create("shop", "orders", true);
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 1, a: 1 } }]);
    double.oplog.write("shop", [
      { update: "orders", id: 1, set: { a: 2 } },
      { remove: "orders", id: 1 },
    ]);
    const stream = client.db("shop").watch([], {
      startAtOperationTime: new Timestamp(at),
      fullDocument: "whenAvailable",
      fullDocumentBeforeChange: "whenAvailable",
    });
    const [insert, update, remove] = await take(stream, 3);
    await stream.close();

    expect(insert).toMatchObject({ operationType: "insert", fullDocument: { _id: 1, a: 1 }, documentKey: { _id: 1 } });
    expect(update).toMatchObject({
      operationType: "update",
      fullDocument: { _id: 1, a: 2 },
      fullDocumentBeforeChange: { _id: 1, a: 1 },
      updateDescription: { updatedFields: { a: 2 } },
    });
    expect(remove).toMatchObject({ operationType: "delete", fullDocumentBeforeChange: { _id: 1, a: 2 } });
    expect(update?.clusterTime).toEqual(remove?.clusterTime);
    expect(update?.lsid).toEqual(remove?.lsid);
  });

  test("resumes behind each of its tokens, also that of an idle stream, and refuses what a server refuses", async () => {
    const { double, client } = await start();
    const shop = client.db("shop");
    const stream = shop.watch();
    await stream.tryNext();
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 1 } }]);
    const [first] = await take(stream, 1);
    double.oplog.write("other", [{ insert: "orders", document: { _id: 2 } }]);
    await stream.tryNext();
    const idle = stream.resumeToken;
    await stream.close();
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 3 } }]);

    for (const startAfter of [first?._id, idle]) {
      const again = shop.watch([], { startAfter });
      expect((await take(again, 1))[0]).toMatchObject({ documentKey: { _id: 3 } });
      await again.close();
    }
    const { _data: token } = (first as Event)._id as { readonly _data: string };
    const wrong = { _data: `${token.slice(0, 17)}F${token.slice(18)}` };
    await expect(shop.watch([], { startAfter: wrong }).tryNext()).rejects.toMatchObject({ code: 280 });
    await expect(shop.watch([], { startAfter: { _data: "zz" } }).tryNext()).rejects.toMatchObject({ code: 260 });
    double.oplog.truncate();
    await expect(shop.watch([], { startAfter: first?._id }).tryNext()).rejects.toMatchObject({ code: 286 });
  });

  test("ends a database's stream by an invalidate, behind which startAfter goes on and resumeAfter does not", async () => {
    const { double, client } = await start();
    const shop = client.db("shop");
    const stream = shop.watch([], { startAtOperationTime: new Timestamp(double.oplog.tick()) });
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 1 } }]);
    double.oplog.dropDatabase("shop");
    const events = await take(stream, 4);
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 2 } }]);

    expect(kinds(events)).toEqual(["insert", "drop", "dropDatabase", "invalidate"]);
    expect(stream.closed || (await stream.tryNext()) === null).toBe(true);
    const token = events.at(-1)?._id;
    const again = shop.watch([], { startAfter: token });
    expect(kinds(await take(again, 1))).toEqual(["insert"]);
    await again.close();
    await expect(shop.watch([], { resumeAfter: token }).tryNext()).rejects.toMatchObject({ code: 260 });
  });

  test("splits an event that is too large where it may, and goes on between its fragments; else refuses it", async () => {
    const { double, client } = await start({ maxEventBytes: 2000 });
    const at = new Timestamp(double.oplog.tick());
    double.oplog.create("shop", "orders", true);
    const text = "x".repeat(1200);
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 1, text } }]);
    double.oplog.write("shop", [{ update: "orders", id: 1, set: { text: "y".repeat(1200) } }]);
    const images = { fullDocument: "whenAvailable", fullDocumentBeforeChange: "whenAvailable" } as const;
    const split = [{ $changeStreamSplitLargeEvent: {} }];
    const stream = client.db("shop").watch(split, { startAtOperationTime: at, ...images });
    const [, one, two, three] = await take(stream, 4);
    await stream.close();

    expect([one, two, three].map((event) => event?.splitEvent)).toEqual(
      [1, 2, 3].map((fragment) => ({ fragment, of: 3 })),
    );
    const again = client.db("shop").watch(split, { startAfter: one?._id, ...images });
    expect((await take(again, 1))[0]?._id).toEqual(two?._id);
    await again.close();
    const whole = client.db("shop").watch([], { startAtOperationTime: at, ...images });
    await expect(take(whole, 2)).rejects.toMatchObject({ code: 10334 });
    await expect(client.db("shop").watch(split, { startAfter: two?._id }).tryNext()).rejects.toMatchObject({
      code: 280,
    });
  });

  test("fails as it is told: a code, a lost connection, and another primary behind an election", async () => {
    const { double, client } = await start({ nodes: 2 });
    const stream = client.db("shop").watch();
    await stream.tryNext();
    double.fail({ command: "getMore", code: 10107, labels: ["ResumableChangeStreamError"] });
    double.fail({ command: "getMore", close: true, after: 1 });
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 1 } }]);
    await take(stream, 1);
    double.elect(1);
    double.oplog.write("shop", [{ insert: "orders", document: { _id: 2 } }]);

    expect((await take(stream, 1))[0]).toMatchObject({ documentKey: { _id: 2 } });
    expect(double.received.filter(({ name }) => name === "aggregate").at(-1)?.node).toBe(1);
    await stream.close();
  });
});
