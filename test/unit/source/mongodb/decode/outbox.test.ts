// What is inserted into the outbox's collection is a domain event in its place, whoever wrote it; what is none is poison.

import { Binary, BSON, Decimal128, Double, Long, ObjectId, Timestamp, UUID } from "mongodb";
import { describe, expect, test } from "vitest";
import { laneOf } from "../../../../../src/event/lane.ts";
import type { SourceId } from "../../../../../src/event/source-id.ts";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import { EventDecoder } from "../../../../../src/source/mongodb/decode/event-decoder.ts";
import { collectionRules } from "../../../../../src/source/mongodb/options/collection-rules.ts";
import type { Encoding } from "../../../../../src/source/mongodb/values/bson-json.ts";
import type { SourceMessage } from "../../../../../src/source/source.ts";

const id = "01234567-89ab-4def-8123-456789abcdef";
const oid = new ObjectId("0123456789abcdef01234567");
const entry = { _id: id, aggregatetype: "order", aggregateid: "42", type: "placed", payload: '{"total": 12.50}' };
const session = new Binary(Buffer.alloc(16, 7), 4);

function decoder(encoding: Encoding = "json"): EventDecoder {
  const rules = { databases: ["shop"], collections: ["*"], outbox: { collection: "outbox" } };
  return new EventDecoder({
    source: "shop" as SourceId,
    writer: new JsonWriter(),
    encoding,
    images: { before: "none", after: "none" },
    ...collectionRules(rules),
    from: { history: 1, time: { t: 1, i: 0 }, ordinal: 0, idle: 0, token: undefined },
  });
}

let tokens = 0;

/** As the server sends it. @param transaction the number of it */
function event(operationType: string, coll: string, more: object, transaction?: number): Buffer {
  return Buffer.from(
    BSON.serialize({
      _id: { _data: `82${(++tokens).toString(16).padStart(8, "0")}` },
      operationType,
      clusterTime: new Timestamp({ t: 5, i: transaction ?? 0 }),
      ns: { db: "shop", coll },
      ...more,
      ...(transaction === undefined ? {} : { lsid: { id: session }, txnNumber: Long.fromNumber(transaction) }),
    }),
  );
}

function inserted(fullDocument: object, transaction?: number): Buffer {
  return event("insert", "outbox", { documentKey: { _id: id }, fullDocument }, transaction);
}

function decoded(fullDocument: object, encoding?: Encoding): SourceMessage {
  const [message, ...none] = decoder(encoding).decode(inserted(fullDocument));
  expect(none).toEqual([]);
  return message as SourceMessage;
}

const bodyOf = (message: SourceMessage): string => Buffer.from("data" in message ? message.data : []).toString();

test("a document of the outbox is a domain event, its payload digit for digit", () => {
  const message = decoded({ ...entry, headers: { tenant: "süd" }, created_at: new Date(), more: 1 });
  expect(message).toMatchObject({
    ...{ type: "domain", id, aggregate: "order", name: "placed", key: "42", headers: { tenant: "süd" } },
    ...{ lane: laneOf(Buffer.from('"42"')), transaction: { id: undefined, lineage: undefined } },
  });
  expect(bodyOf(message)).toBe('{"total": 12.50}');
});

test.each<[string, object, object]>([
  ["a UUID as id", { _id: new UUID(id) }, { id }],
  ["an id in capitals", { _id: id.toUpperCase() }, { id }],
  ["an int32 as key", { aggregateid: 7 }, { key: "7" }],
  ["an int64 as key", { aggregateid: Long.MAX_VALUE }, { key: "9223372036854775807" }],
  ["an ObjectId as key", { aggregateid: oid }, { key: oid.toHexString() }],
  ["a UUID as key", { aggregateid: new UUID(id) }, { key: id }],
  ["no headers", { headers: null }, { headers: {} }],
])("%s is taken", (_, more, expected) => {
  expect(decoded({ ...entry, ...more })).toMatchObject({ type: "domain", ...expected });
});

test.each<[string, unknown, string, string]>([
  [
    "a document",
    { n: Long.MAX_VALUE, at: new Date(0) },
    '{"n":"9223372036854775807","at":"1970-01-01T00:00:00.000Z"}',
    '{"n":{"$numberLong":"9223372036854775807"},"at":{"$date":{"$numberLong":"0"}}}',
  ],
  ["an array", [1, "a"], '[1,"a"]', '[{"$numberInt":"1"},"a"]'],
  ["null", null, "null", "null"],
  ["a number", Decimal128.fromString("1.50"), '"1.50"', '{"$numberDecimal":"1.50"}'],
  ["a text that is JSON", ' "text" ', ' "text" ', ' "text" '],
])("a payload that is %s becomes what it is in a document", (_, payload, json, ejson) => {
  expect(bodyOf(decoded({ ...entry, payload }))).toBe(json);
  expect(bodyOf(decoded({ ...entry, payload }, "ejson"))).toBe(ejson);
});

test("what caused it is carried, and never believed", () => {
  const lineage = { correlationId: "a", causationId: "b", hops: 3, automation: "mine", trail: [] };
  expect(decoded({ ...entry, lineage })).toMatchObject({
    transaction: { lineage: { correlationId: "a", causationId: "b", proven: undefined } },
  });
});

test.each<[string, object]>([
  ["without an id", { _id: 5 }],
  ["with an id that is no uuid", { _id: "x" }],
  ["with bytes for an id", { _id: new Binary(Buffer.alloc(16), 0) }],
  ["with an ObjectId for an id", { _id: oid }],
  ["without an aggregate", { aggregatetype: undefined }],
  ["with an empty aggregate", { aggregatetype: "" }],
  ["with a type that is no text", { type: 1 }],
  ["with a type that is too long", { type: "x".repeat(201) }],
  ["without a key", { aggregateid: null }],
  ["with a key of fractions", { aggregateid: new Double(1.5) }],
  ["without a payload", { payload: undefined }],
  ["with a text that is not JSON", { payload: "placed" }],
  ["with an empty text", { payload: "" }],
  ["with headers that are a list", { headers: ["a"] }],
  ["with a header that is no text", { headers: { a: 1 } }],
  ["with a header of ours", { headers: { "Cdc-Pos": "1" } }],
  ["with a lineage of one id", { lineage: { correlationId: "a" } }],
  ["with a lineage that is a text", { lineage: "a" }],
])("a document %s is poison that says what is wrong and quotes nothing", (_, more) => {
  const document = { ...entry, payload: '"secret"', ...more };
  const message = decoded(Object.fromEntries(Object.entries(document).filter(([, value]) => value !== undefined)));
  expect(message).toMatchObject({
    ...{ type: "poison", namespace: "shop", collection: "outbox", error: { code: "OUTBOX_MALFORMED" } },
    transaction: { id: undefined },
  });
  expect(message).toHaveProperty("position", expect.stringMatching(/\+$/));
  expect(String(message.type === "poison" && message.error.message)).not.toContain("secret");
});

describe("in a transaction", () => {
  const order = (n: number, transaction: number): Buffer =>
    event("insert", "orders", { documentKey: { _id: n }, fullDocument: { _id: n } }, transaction);

  test("it stands where it was written, and the last one ends it, be it an event, a change or poison", () => {
    const one = decoder();
    const messages = [
      ...[order(1, 1), inserted(entry, 1), order(2, 1)],
      ...[order(3, 2), inserted(entry, 2)],
      ...[order(4, 3), inserted({ ...entry, type: 1 }, 3)],
    ].flatMap((raw) => one.decode(raw));
    const ends = [...messages, ...one.settle()].map((message) => [
      message.type,
      "position" in message && message.position?.endsWith("+"),
      "transaction" in message && message.transaction?.id?.slice(-2),
    ]);
    expect(ends).toEqual([
      ...[
        ["change", false, ":1"],
        ["domain", false, ":1"],
        ["change", true, ":1"],
      ],
      ...[
        ["change", false, ":2"],
        ["domain", true, ":2"],
      ],
      ...[
        ["change", false, ":3"],
        ["poison", true, ":3"],
      ],
    ]);
  });

  test("what is taken out of the outbox in it does not end it", () => {
    const one = decoder();
    const taken = event("delete", "outbox", { documentKey: { _id: id } }, 1);
    const messages = [inserted(entry, 1), taken, order(1, 1)].flatMap((raw) => one.decode(raw));
    expect([...messages, ...one.settle()].map(({ type }) => type)).toEqual(["domain", "change"]);
  });
});

test.each(["update", "replace", "delete"])("an %s in the outbox is nobody's news, and a place all the same", (kind) => {
  const raw = event(kind, "outbox", { documentKey: { _id: id }, fullDocument: entry });
  expect(decoder().decode(raw)).toMatchObject([{ type: "commit" }]);
});

test("that the outbox was dropped is told", () => {
  expect(decoder().decode(event("drop", "outbox", {}))).toMatchObject([{ type: "marker", kind: "ddl" }]);
});
