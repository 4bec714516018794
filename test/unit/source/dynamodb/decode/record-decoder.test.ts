// Records of a shard as events.

import { describe, expect, test } from "vitest";
import { canonicalJson, laneOf } from "../../../../../src/event/lane.ts";
import type { RawRecord } from "../../../../../src/source/dynamodb/decode/record.ts";
import { RecordDecoder } from "../../../../../src/source/dynamodb/decode/record-decoder.ts";

const name = { table: "carts", label: "2026-01-01T00:00:00.000", shard: "shardId-1" };
const options = { source: "shop", name, arn: "arn:carts", keyNames: ["id"], encoding: "json" } as const;
const decoder = new RecordDecoder(options);

function record(eventName: string, dynamodb: object, more: object = {}): RawRecord {
  const common = { SequenceNumber: "100000000000000000001", ApproximateCreationDateTime: 1_700_000_000 };
  return { eventName, dynamodb: { ...common, Keys: { id: { S: "a" } }, ...dynamodb }, ...more };
}

function bodyOf(message: ReturnType<RecordDecoder["decode"]>): unknown {
  return "data" in message ? JSON.parse(Buffer.from(message.data).toString()) : message;
}

describe("a record", () => {
  const [id, one, two] = [{ S: "a" }, { N: "1" }, { N: "2" }];
  test.each<[string, RawRecord, object]>([
    [
      "INSERT",
      record("INSERT", { NewImage: { id, n: one } }),
      { op: "created", before: null, after: { id: "a", n: 1 } },
    ],
    [
      "MODIFY",
      record("MODIFY", { OldImage: { id, n: one, gone: id }, NewImage: { id, n: two } }),
      { op: "updated", before: { id: "a", n: 1, gone: "a" }, after: { id: "a", n: 2 }, changed: ["gone", "n"] },
    ],
    [
      "REMOVE",
      record("REMOVE", { OldImage: { id, n: one } }),
      { op: "deleted", before: { id: "a", n: 1 }, after: null },
    ],
    [
      "REMOVE of what has expired",
      record("REMOVE", {}, { userIdentity: { Type: "Service", PrincipalId: "dynamodb.amazonaws.com" } }),
      { op: "deleted", before: null, after: null, reason: "ttl" },
    ],
    [
      "REMOVE of what has expired, spelled as Lambda has it",
      record("REMOVE", {}, { userIdentity: { type: "Service", principalId: "dynamodb.amazonaws.com" } }),
      { op: "deleted", before: null, after: null, reason: "ttl" },
    ],
    ["REMOVE by nobody", record("REMOVE", {}, { userIdentity: null }), { op: "deleted", before: null, after: null }],
    [
      "REMOVE by a user who is called alike",
      record("REMOVE", {}, { userIdentity: { Type: "User", PrincipalId: "dynamodb.amazonaws.com" } }),
      { op: "deleted", before: null, after: null },
    ],
    [
      "REMOVE by another service",
      record("REMOVE", {}, { userIdentity: { Type: "Service", PrincipalId: "dynamodb.amazonaws.com.example" } }),
      { op: "deleted", before: null, after: null },
    ],
    [
      "MODIFY by who deletes what has expired",
      record("MODIFY", {}, { userIdentity: { Type: "Service", PrincipalId: "dynamodb.amazonaws.com" } }),
      { op: "updated", before: null, after: null },
    ],
    [
      "INSERT with null for an image",
      record("INSERT", { OldImage: null, NewImage: { id } }),
      { op: "created", before: null, after: { id: "a" } },
    ],
    ["MODIFY without images", record("MODIFY", {}), { op: "updated", before: null, after: null }],
  ])("%s is its event", (_, raw, body) => {
    expect(bodyOf(decoder.decode(raw))).toEqual({ key: { id: "a" }, ...body });
  });

  test("has its place, its id, its lane and the time of the server", () => {
    expect(decoder.decode(record("INSERT", {}))).toMatchObject({
      partition: "carts/2026-01-01T00~3A00~3A00~2E000/shardId-1",
      position: expect.stringMatching(/^0001\.0{19}100000000000000000001\.421\.[0-9a-f]{16}\+$/),
      id: expect.stringMatching(/^shop\.0001\.[0-9a-f]{16}\.0{19}100000000000000000001$/),
      kind: { namespace: "_", collection: "carts", op: "created" },
      lane: laneOf(Buffer.from('{"id":"a"}')),
      transaction: { id: undefined, time: "2023-11-14T22:13:20.000Z" },
    });
  });

  test("has a key of two attributes in the order of the key schema, and the lane of their names' order", () => {
    const two = new RecordDecoder({ ...options, keyNames: ["z", "a"] });
    const message = two.decode(record("INSERT", { Keys: { a: { S: "x,y z" }, z: { N: "1.5" } } }));
    expect(bodyOf(message)).toMatchObject({ key: { z: 1.5, a: "x,y z" } });
    expect(message).toMatchObject({
      key: "1.5,x%2Cy%20z",
      lane: laneOf(Buffer.from(canonicalJson({ a: "x,y z", z: 1.5 }))),
    });
  });

  test("has the same subject in each encoding, and the lane of its key as its events have it", () => {
    const keyed = record("INSERT", { Keys: { z: { B: "AAH+" }, a: { N: "12345678901234567890" } } });
    const [plain, typed] = (["json", "dynamodb-json"] as const).map((encoding) =>
      new RecordDecoder({ ...options, encoding, keyNames: ["z", "a"] }).decode(keyed),
    );
    if (plain?.type !== "change" || typed?.type !== "change") throw new Error("no change");
    expect([plain.key, typed.key]).toEqual(["AAH+,12345678901234567890", "AAH+,12345678901234567890"]);
    for (const message of [plain, typed]) {
      const { key } = bodyOf(message) as { key: unknown };
      expect(message.lane).toBe(laneOf(Buffer.from(canonicalJson(key))));
    }
    expect(bodyOf(typed)).toMatchObject({ key: { z: { B: "AAH+" }, a: { N: "12345678901234567890" } } });
    expect(plain.id).toBe(typed.id);
  });

  test("has the time of its server, whatever that sends for it", () => {
    for (const [time, text] of [
      [1_700_000_000.123, "2023-11-14T22:13:20.123Z"],
      ["soon", "1970-01-01T00:00:00.000Z"],
      [1e300, "1970-01-01T00:00:00.000Z"],
    ])
      expect(decoder.decode(record("INSERT", { ApproximateCreationDateTime: time }))).toMatchObject({
        transaction: { time: text },
      });
  });

  test.each([
    ["of an unknown kind", record("PURGE", {}), "RECORD_UNKNOWN"],
    ["with an unknown type", record("INSERT", { NewImage: { id: { X: 1 } } }), "ATTRIBUTE_UNKNOWN"],
    ["without its key", record("INSERT", { Keys: {} }), "KEY_MISSING"],
    ["without any keys", record("INSERT", { Keys: null }), "KEY_MISSING"],
    ["whose key is inherited", record("INSERT", { Keys: Object.create({ id: { S: "a" } }) }), "KEY_MISSING"],
    ["whose key is a map", record("INSERT", { Keys: { id: { M: {} } } }), "KEY_UNKNOWN"],
    ["whose key is half of a letter", record("INSERT", { Keys: { id: { S: "\ud800" } } }), "KEY_UNKNOWN"],
    ["whose key is no number", record("INSERT", { Keys: { id: { N: "one" } } }), "ATTRIBUTE_UNKNOWN"],
    ["whose image is a text", record("INSERT", { NewImage: "x" }), "ATTRIBUTE_UNKNOWN"],
  ])("%s is poison in its place", (_, raw, code) => {
    expect(decoder.decode(raw)).toMatchObject({
      type: "poison",
      error: { code },
      namespace: "_",
      collection: "carts",
      position: expect.stringMatching(/\+$/),
      sizeBytes: JSON.stringify(raw).length,
    });
  });
});
