// emit() for DynamoDB: the write that it makes, and what it refuses before anything is made.

import { readdirSync, readFileSync } from "node:fs";
import type { TransactWriteItem } from "@aws-sdk/client-dynamodb";
import { expect, test } from "vitest";
import { z } from "zod";
import { type DynamoOutboxOptions, dynamoOutbox } from "../../../src/outbox.ts";

const event = { key: 42, data: { total: "12.50", empty: "", set: [] }, headers: { tenant: "a" } };
const DAY = 86_400;

test("an event is the write of one item, as the SDK's client takes it: its data as JSON text", async () => {
  const before = Math.floor(Date.now() / 1000);
  const { id, item } = await dynamoOutbox({ table: "outbox" }).emit("order.placed.twice", event);
  const taken: TransactWriteItem = item;
  expect(taken).toEqual({
    Put: {
      TableName: "outbox",
      Item: {
        ...{ aggregateid: { S: "42" }, aggregatetype: { S: "order" }, id: { S: id }, type: { S: "placed.twice" } },
        ...{ payload: { S: JSON.stringify(event.data) }, headers: { M: { tenant: { S: "a" } } } },
        ...{
          created_at: { S: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) },
          expires_at: { N: expect.any(String) },
        },
      },
      ConditionExpression: "attribute_not_exists(#id) OR #id <> :id",
      ExpressionAttributeNames: { "#id": "id" },
      ExpressionAttributeValues: { ":id": { S: id } },
    },
  });
  expect(
    Number(item.Put.Item.expires_at && "N" in item.Put.Item.expires_at && item.Put.Item.expires_at.N),
  ).toBeGreaterThanOrEqual(before + 7 * DAY);
});

test("for the document client it is of plain values", async () => {
  const { id, item } = await dynamoOutbox({ table: "outbox", plain: true }).emit("order.placed", event);
  expect(item.Put.Item).toMatchObject({
    ...{ aggregateid: "42", aggregatetype: "order", id, type: "placed", payload: JSON.stringify(event.data) },
    ...{ headers: { tenant: "a" }, expires_at: expect.any(Number) },
  });
  expect(item.Put.ExpressionAttributeValues).toEqual({ ":id": id });
});

test("keepDays is for how long it stays", async () => {
  const { item } = await dynamoOutbox({ table: "outbox", plain: true, keepDays: 1 }).emit("order.placed", event);
  const left = Number(item.Put.Item.expires_at) - Date.now() / 1000;
  expect(left).toBeGreaterThan(DAY - 60);
  expect(left).toBeLessThanOrEqual(DAY + 1);
});

test("what caused it is written beside it, and no more than that", async () => {
  const lineage = { correlationId: "a", causationId: "b" };
  const { item } = await dynamoOutbox({ table: "outbox", plain: true, lineage: { ...lineage, ...{ hops: 9 } } }).emit(
    "order.placed",
    event,
  );
  expect(item.Put.Item.lineage).toEqual(lineage);
  expect(() => dynamoOutbox({ table: "outbox", lineage: { ...lineage, causationId: "" } })).toThrow(
    expect.objectContaining({ code: "LINEAGE_MALFORMED" }),
  );
});

test("declared types are checked, by their schema and by the compiler", async () => {
  const box = dynamoOutbox({ table: "outbox", events: { "order.placed": z.object({ total: z.string() }) } });
  await expect(box.emit("order.placed", { key: 1, data: { total: 5 as never } })).rejects.toMatchObject({
    code: "OUTBOX_EVENT_INVALID",
    message: expect.stringContaining("data.total"),
  });
  // @ts-expect-error no such type was declared
  await expect(box.emit("order.lost", { key: 1, data: {} })).rejects.toMatchObject({ code: "OUTBOX_EVENT_INVALID" });
  // @ts-expect-error its total is a text
  await expect(box.emit("order.placed", { key: 1, data: { total: 5 } })).rejects.toThrow();
});

test.each<[string, string, object, string]>([
  ["a type without a dot", "placed", {}, "OUTBOX_EVENT_INVALID"],
  ["no data", "order.placed", { data: undefined }, "OUTBOX_EVENT_INVALID"],
  ["an id that is no uuid", "order.placed", { id: "1" }, "OUTBOX_EVENT_INVALID"],
  ["a header of ours", "order.placed", { headers: { "ce-id": "1" } }, "OUTBOX_EVENT_INVALID"],
  ["an empty key, which no key attribute may be", "order.placed", { key: "" }, "OUTBOX_EVENT_INVALID"],
  ["a key that no partition key holds", "order.placed", { key: "é".repeat(1025) }, "OUTBOX_EVENT_INVALID"],
  ["more than an item holds", "order.placed", { data: "x".repeat(409_600) }, "OUTBOX_EVENT_TOO_LARGE"],
  ["long headers", "order.placed", { headers: { a: "x".repeat(33_000) } }, "OUTBOX_EVENT_TOO_LARGE"],
])("%s is refused before anything is made", async (_, type, more, code) => {
  await expect(dynamoOutbox({ table: "outbox" }).emit(type, { ...event, ...more })).rejects.toMatchObject({ code });
});

test("maxBytes is what the bus takes", async () => {
  const box = dynamoOutbox({ table: "outbox", maxBytes: 2000 });
  await expect(box.emit("order.placed", { key: 1, data: "x".repeat(3000) })).rejects.toThrow("the bus takes 2000");
});

test.each<Partial<DynamoOutboxOptions>>([
  { table: "" },
  { table: "a b" },
  { keepDays: 0 },
  { keepDays: Number.NaN },
  { keepDays: 1e9 },
])("the options %o are refused with what to pass", (more) => {
  expect(() => dynamoOutbox({ table: "outbox", ...more })).toThrow(
    expect.objectContaining({ code: "OUTBOX_TABLE_UNKNOWN", hint: expect.stringContaining("dynamoOutbox({ table:") }),
  );
});

test("millrace/outbox never imports the SDK", () => {
  const root = new URL("../../../src/", import.meta.url);
  const files = ["outbox.ts", ...readdirSync(new URL("outbox/", root)).map((name) => `outbox/${name}`)];
  for (const file of files) expect(readFileSync(new URL(file, root), "utf8")).not.toMatch(/@aws-sdk/);
});
