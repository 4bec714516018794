// emit() for MongoDB: what it writes, and what it refuses before anything is written.

import { readdirSync, readFileSync } from "node:fs";
import { MongoClient } from "mongodb";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { type MongoCollection, type MongoOutboxOptions, outbox } from "../../../src/outbox.ts";

// The driver's own, of a server that is never asked: no command is sent before the first write.
const client = new MongoClient("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1");
afterAll(() => client.close());

/** Takes what is inserted, and answers as a driver does. */
function recording(answer?: {
  acknowledged?: boolean;
  insertedId?: unknown;
}): MongoCollection & { documents: object[] } {
  const documents: object[] = [];
  return {
    documents,
    insertOne: async (document) => {
      documents.push(document);
      return { acknowledged: true, insertedId: (document as { _id: unknown })._id, ...answer };
    },
  };
}

function begun() {
  const session = client.startSession();
  session.startTransaction();
  return session;
}

const event = { key: 42, data: { total: "12.50", _bsontype: "ObjectId" }, headers: { tenant: "a" } };

test("an event is one document: its data as JSON text, so that the driver changes nothing of it", async () => {
  const collection = recording();
  const id = await outbox(begun(), { collection }).emit("order.placed.twice", event);
  expect(collection.documents).toEqual([
    {
      ...{ _id: id, aggregatetype: "order", aggregateid: "42", type: "placed.twice" },
      ...{ payload: JSON.stringify(event.data), headers: { tenant: "a" }, created_at: expect.any(Date) },
    },
  ]);
});

test("what caused it is written beside it", async () => {
  const collection = recording();
  const lineage = { correlationId: "a", causationId: "b" };
  await outbox(begun(), { collection, lineage: { ...lineage, ...{ hops: 9 } } }).emit("order.placed", event);
  expect(collection.documents).toMatchObject([{ lineage }]);
  expect(collection.documents[0]).not.toHaveProperty("lineage.hops");
  expect(() => outbox(begun(), { collection, lineage: { ...lineage, causationId: "" } })).toThrow(
    expect.objectContaining({ code: "LINEAGE_MALFORMED" }),
  );
});

test("declared types are checked before anything is written", async () => {
  const collection = recording();
  const box = outbox(begun(), { collection, events: { "order.placed": z.object({ total: z.string() }) } });
  await expect(box.emit("order.placed", { key: 1, data: { total: 5 as never } })).rejects.toMatchObject({
    code: "OUTBOX_EVENT_INVALID",
    message: expect.stringContaining("data.total"),
  });
  await expect(box.emit("order.lost" as never, { key: 1, data: {} as never })).rejects.toMatchObject({
    code: "OUTBOX_EVENT_INVALID",
  });
  expect(collection.documents).toEqual([]);
  await box.emit("order.placed", { key: 1, data: { total: "5" } });
  expect(collection.documents).toHaveLength(1);
});

test.each<[string, string, object, string]>([
  ["a type without a dot", "placed", {}, "OUTBOX_EVENT_INVALID"],
  ["no data", "order.placed", { data: undefined }, "OUTBOX_EVENT_INVALID"],
  ["an id that is no uuid", "order.placed", { id: "1" }, "OUTBOX_EVENT_INVALID"],
  ["a header of ours", "order.placed", { headers: { "ce-id": "1" } }, "OUTBOX_EVENT_INVALID"],
  ["more than the bus takes", "order.placed", { data: "x".repeat(1_048_577) }, "OUTBOX_EVENT_TOO_LARGE"],
  ["long headers", "order.placed", { headers: { a: "x".repeat(33_000) } }, "OUTBOX_EVENT_TOO_LARGE"],
])("%s is refused before anything is written", async (_, type, more, code) => {
  const collection = recording();
  await expect(outbox(begun(), { collection }).emit(type, { ...event, ...more })).rejects.toMatchObject({ code });
  expect(collection.documents).toEqual([]);
});

test("maxBytes is what the bus takes", async () => {
  const collection = recording();
  const data = "x".repeat(2_000_000);
  await outbox(begun(), { collection, maxBytes: 4_000_000 }).emit("order.placed", { key: 1, data });
  await expect(outbox(begun(), { collection, maxBytes: 2000 }).emit("order.placed", { key: 1, data })).rejects.toThrow(
    "the bus takes 2000",
  );
});

test("outside of a transaction nothing is written", async () => {
  const collection = recording();
  const session = client.startSession();
  await expect(outbox(session, { collection }).emit("order.placed", event)).rejects.toMatchObject({
    code: "OUTBOX_OUTSIDE_TRANSACTION",
    hint: expect.stringContaining("withTransaction"),
  });
  session.startTransaction();
  await session.abortTransaction();
  await expect(outbox(session, { collection }).emit("order.placed", event)).rejects.toMatchObject({
    code: "OUTBOX_OUTSIDE_TRANSACTION",
  });
  expect(collection.documents).toEqual([]);
});

test.each([{ acknowledged: false }, { insertedId: "another" }])("an answer %o is no written event", async (answer) => {
  await expect(outbox(begun(), { collection: recording(answer) }).emit("order.placed", event)).rejects.toMatchObject({
    code: "OUTBOX_NOT_WRITTEN",
  });
});

test("what is no session, or no collection, is refused with what to pass", () => {
  const collection = client.db("shop").collection("outbox");
  const refused = { code: "OUTBOX_SESSION_UNKNOWN", hint: expect.stringContaining("outbox(session, { collection:") };
  for (const [session, options] of [
    [client, { collection }],
    [begun(), {}],
    [begun(), { collection: "outbox" }],
  ] as unknown as readonly (readonly [never, MongoOutboxOptions])[])
    expect(() => outbox(session, options)).toThrow(expect.objectContaining(refused));
});

test("the driver's own session and collection are what it takes, by their types", () => {
  const box = outbox(begun(), { collection: client.db("shop").collection("outbox") });
  const typed = client.db("shop").collection<{ _id: string; payload: string }>("outbox");
  expect([box, outbox(begun(), { collection: typed })].map(({ emit }) => typeof emit)).toEqual([
    "function",
    "function",
  ]);
});

test("millrace/outbox never imports the driver", () => {
  const root = new URL("../../../src/", import.meta.url);
  const files = ["outbox.ts", ...readdirSync(new URL("outbox/", root)).map((name) => `outbox/${name}`)];
  for (const file of files)
    expect(readFileSync(new URL(file, root), "utf8")).not.toMatch(/from "mongodb"|import\("mongodb"\)/);
});
