// What users of other readers of change streams have reported, tried on this one over the wire double.

import { BSON } from "mongodb";
import { expect, test } from "vitest";
import { DoubleShop, idsOf, untilRead } from "../../../support/mongodb/double-shop.ts";
import { waitFor } from "../../../support/wait-for.ts";

const body = (data: Uint8Array | undefined): Record<string, unknown> => JSON.parse(Buffer.from(data ?? []).toString());

test("an update whose document is gone when it is looked up is an update, and says what is missing", async () => {
  const shop = await DoubleShop.start();
  const first = await shop.read();
  await waitFor(() => first.started, { what: "the stream to be opened" });
  await first.stop();
  shop.insert(1);
  shop.double.oplog.write("shop", [{ update: "orders", id: 1, set: { a: 2 } }]);
  shop.double.oplog.write("shop", [{ remove: "orders", id: 1 }]);
  const second = await shop.read(first);
  await waitFor(() => second.changes.length === 3, { what: "three changes" });
  const [, update, remove] = second.changes.map(({ data }) => body(data));

  expect(update).toMatchObject({ op: "updated", after: null, afterMissing: true, update: { updatedFields: { a: 2 } } });
  expect(remove).toMatchObject({ op: "deleted", key: { _id: 1 } });
});

test("images that were kept no longer are marked as missing, and the stream goes on", async () => {
  const shop = await DoubleShop.start({ section: { images: { before: "stored", after: "stored" } } });
  const first = await shop.read();
  await waitFor(() => first.started, { what: "the stream to be opened" });
  await first.stop();
  shop.insert(1);
  shop.double.oplog.write("shop", [{ update: "orders", id: 1, set: { a: 2 } }]);
  shop.double.oplog.expireImages();
  shop.insert(2);
  const second = await shop.read(first);
  await untilRead(second, 2);
  const update = second.changes.map(({ data }) => body(data)).find(({ op }) => op === "updated");

  expect(update).toMatchObject({ before: null, beforeMissing: true, after: null, afterMissing: true });
});

test("an event of a kind that nobody knows yet is passed on in its place", async () => {
  const shop = await DoubleShop.start();
  const reading = await shop.read();
  shop.insert(1);
  shop.double.oplog.log({
    kind: "vectorise",
    database: "shop",
    collection: "orders",
    more: { operationDescription: { by: 3 } },
  });
  shop.insert(2);
  await untilRead(reading, 2);
  const told = reading.messages.flatMap((message) =>
    message.type === "marker" ? [body(message.data)] : message.type === "change" ? [body(message.data).op] : [],
  );

  expect(told.slice(1)).toEqual([
    "created",
    { operationType: "vectorise", namespace: "shop", collection: "orders", operationDescription: { by: 3 } },
    "created",
  ]);
});

test("events of transactions of the same time are grouped, and an event that carries no wall time has the cluster's", async () => {
  const shop = await DoubleShop.start();
  const reading = await shop.read();
  const [one, other] = [new BSON.UUID(), new BSON.UUID()];
  const insert = (_id: number, id: BSON.UUID) => ({
    ...{ kind: "insert", database: "shop", collection: "orders", key: { _id }, document: { _id } },
    session: { id, number: 7 },
  });
  shop.double.oplog.log(insert(1, one), insert(2, one), insert(3, other));
  shop.insert(4);
  await untilRead(reading, 4);

  expect(idsOf(reading)).toEqual([1, 2, 3, 4]);
  expect(reading.changes.map(({ position }) => position.endsWith("+"))).toEqual([false, true, true, true]);
  expect(new Set(reading.changes.map(({ position }) => position)).size).toBe(4);
});

test("a key so long that its token fits no header has a place all the same, behind which the next reading goes on", async () => {
  const shop = await DoubleShop.start();
  const first = await shop.read();
  const long = "k".repeat(40_000);
  shop.insert({ _id: "a" }, { _id: long });
  await untilRead(first, long);
  await first.stop();
  shop.insert({ _id: "b" });
  const second = await shop.read(first);
  await untilRead(second, "b");

  for (const { position } of first.changes) expect(position.length).toBeLessThan(5_000);
  expect(idsOf(second)).toEqual(["b"]);
});
