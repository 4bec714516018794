// What happens to the items of an outbox, as events or as nothing.

import { describe, expect, test } from "vitest";
import { dynamoOutbox } from "../../../../../src/outbox.ts";
import type { RawRecord } from "../../../../../src/source/dynamodb/decode/record.ts";
import { RecordDecoder } from "../../../../../src/source/dynamodb/decode/record-decoder.ts";
import type { Item } from "../../../../../src/source/dynamodb/values/attribute.ts";

const name = { table: "outbox", label: "2026-01-01T00:00:00.000", shard: "shardId-1" };
const options = { source: "shop", name, arn: "arn:outbox", keyNames: ["aggregateid", "aggregatetype"] };
const decoder = new RecordDecoder({ ...options, encoding: "json", isOutbox: true });
const [first, second] = ["0b5c2a54-6a1e-4b52-9a0d-5f6f9c3e7a10", "0b5c2a54-6a1e-4b52-9a0d-5f6f9c3e7a11"];

const item: Item = {
  ...{ id: { S: first }, aggregatetype: { S: "order" }, aggregateid: { S: "o 1" }, type: { S: "placed" } },
  payload: { S: '{"n":1}' },
};

function record(eventName: string, NewImage?: Item, OldImage?: Item): RawRecord {
  const Keys = { aggregateid: { S: "o 1" }, aggregatetype: { S: "order" } };
  const images = { ...(NewImage && { NewImage }), ...(OldImage && { OldImage }) };
  const SequenceNumber = "100000000000000000001";
  return { eventName, dynamodb: { SequenceNumber, ApproximateCreationDateTime: 1_700_000_000, Keys, ...images } };
}

function bodyOf(message: ReturnType<RecordDecoder["decode"]>): string {
  return "data" in message ? Buffer.from(message.data).toString() : message.type;
}

describe("of an outbox", () => {
  test("an item that is inserted is a domain event at its place", () => {
    const message = decoder.decode(record("INSERT", item));
    expect(message).toMatchObject({
      ...{ type: "domain", id: first, aggregate: "order", name: "placed", key: "o 1", headers: {} },
      partition: decoder.partition,
      position: expect.stringMatching(/^0001\.0{19}100000000000000000001\.421\.[0-9a-f]{16}\+$/),
      transaction: { id: undefined, time: "2023-11-14T22:13:20.000Z", lineage: undefined },
    });
    expect(bodyOf(message)).toBe('{"n":1}');
  });

  test("what emit() makes is the event that it was given", async () => {
    const lineage = { correlationId: "c", causationId: "d" };
    const { id, item: write } = await dynamoOutbox({ table: "outbox", lineage }).emit("order.placed.twice", {
      ...{ key: "süß/%,", data: { d: "\u2028\ud800", n: Number.NaN }, headers: { tenant: "süd", __proto__x: "1" } },
    });
    const message = decoder.decode(record("INSERT", JSON.parse(JSON.stringify(write.Put.Item))));
    expect(message).toMatchObject({
      ...{ type: "domain", id, aggregate: "order", name: "placed.twice", key: "süß/%," },
      headers: { tenant: "süd", __proto__x: "1" },
      transaction: { lineage: { ...lineage, proven: undefined } },
    });
    expect(bodyOf(message)).toBe('{"d":"\u2028\\ud800","n":null}');
  });

  test("an item that its aggregate's next event writes over is that event", () => {
    const message = decoder.decode(record("MODIFY", { ...item, id: { S: second } }, item));
    expect(message).toMatchObject({ type: "domain", id: second });
  });

  test.each<[string, RawRecord]>([
    ["an update that keeps the event's id", record("MODIFY", { ...item, seen: { BOOL: true } }, item)],
    ["a delete", record("REMOVE", undefined, item)],
    [
      "an item that expires",
      {
        ...record("REMOVE", undefined, item),
        userIdentity: { Type: "Service", PrincipalId: "dynamodb.amazonaws.com" },
      },
    ],
  ])("%s is a place, and no event", (_, raw) => {
    expect(decoder.decode(raw)).toEqual({
      ...{ type: "commit", partition: decoder.partition },
      position: expect.stringMatching(/^0001\.0{19}100000000000000000001\.421\.[0-9a-f]{16}\+$/),
    });
  });

  test.each<[string, Item, string]>([
    ["a map", { M: { n: { N: "1" }, __proto__x: { NS: ["2", "1"] } } }, '{"n":1,"__proto__x":[1,2]}'],
    ["a list", { L: [{ NULL: true }] }, "[null]"],
    ["null", { NULL: true }, "null"],
    ["a text, which is JSON", { S: "[1e400]" }, "[1e400]"],
  ] as never)("a payload that is %s is the body", (_, payload, body) => {
    expect(bodyOf(decoder.decode(record("INSERT", { ...item, payload: payload as never })))).toBe(body);
  });

  test("a payload keeps its types where the encoding does", () => {
    const keeping = new RecordDecoder({ ...options, encoding: "dynamodb-json", isOutbox: true });
    const payload = { M: { n: { N: "1" } } };
    expect(bodyOf(keeping.decode(record("INSERT", { ...item, payload })))).toBe('{"M":{"n":{"N":"1"}}}');
    expect(bodyOf(keeping.decode(record("INSERT", item)))).toBe('{"n":1}');
  });

  test("a key may be a number's text", () => {
    expect(decoder.decode(record("INSERT", { ...item, aggregateid: { N: "42" } }))).toMatchObject({ key: "42" });
  });

  const { payload: _, ...without } = item;
  test.each<[string, RawRecord, string]>([
    ["without a payload", record("INSERT", without), "it has no payload"],
    ["whose payload is no JSON", record("INSERT", { ...item, payload: { S: "secret" } }), "not JSON"],
    ["whose payload has half of a letter", record("INSERT", { ...item, payload: { S: '"\ud800"' } }), "not JSON"],
    ["whose payload is of an unknown type", record("INSERT", { ...item, payload: { Q: "secret" } }), "no type"],
    ["without an id", record("MODIFY", { ...item, id: { N: "1" } }, item), "its id is no uuid"],
    ["with a key of bytes", record("INSERT", { ...item, aggregateid: { B: "AA==" } }), "its aggregateid is no text"],
    ["with an empty type", record("INSERT", { ...item, type: { S: "" } }), "its type is no text"],
    ["with headers that are no map", record("INSERT", { ...item, headers: { S: "secret" } }), "no map"],
    ["with a header that is no text", record("INSERT", { ...item, headers: { M: { a: { N: "1" } } } }), "no text"],
    ["with a header of ours", record("INSERT", { ...item, headers: { M: { "ce-id": { S: "1" } } } }), "begins with"],
    [
      "with half a lineage",
      record("INSERT", { ...item, lineage: { M: { causationId: { S: "1" } } } }),
      "no correlationId",
    ],
    ["with a lineage that is no map", record("INSERT", { ...item, lineage: { S: "secret" } }), "no correlationId"],
    ["without its image", record("INSERT"), "no image of the item"],
    ["that is written over without its image before", record("MODIFY", item), "no image of the item before"],
    ["of an unknown kind", record("PURGE", item), "unknown kind"],
  ])("an item %s is poison in its place, and its words are not quoted", (__, raw, message) => {
    const poison = decoder.decode(raw);
    expect(poison).toMatchObject({
      ...{ type: "poison", namespace: "_", collection: "outbox", partition: decoder.partition },
      error: { message: expect.stringContaining(message) },
    });
    expect(poison).not.toMatchObject({ error: { message: expect.stringContaining("secret") } });
  });
});
