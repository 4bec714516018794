// Logical messages and outbox rows, out of frames as the server sends them.

import { describe, expect, test } from "vitest";
import { lineageText } from "../../../../src/event/lineage.ts";
import type { Position } from "../../../../src/event/position.ts";
import { boundaryBefore } from "../../../../src/source/postgres/client/position.ts";
import { FrameCutter } from "../../../../src/source/postgres/replication/cut-frame.ts";
import type { EncodedMessage } from "../../../support/bus/encoded.ts";
import { bodyText, decodeFrames, headers, shown } from "../../../support/postgres/decode-frames.ts";
import {
  begin,
  commit,
  insert,
  keepalive,
  message,
  relation,
  remove,
} from "../../../support/postgres/pgoutput-frames.ts";

const ITEM = relation(1, "item", [{ name: "id", type: 23, key: true }]);
const OUTBOX = relation(
  2,
  "outbox",
  [
    { name: "id", type: 2950, key: true },
    { name: "aggregatetype" },
    { name: "aggregateid" },
    { name: "type" },
    { name: "payload", type: 3802 },
    { name: "headers", type: 3802 },
    { name: "created_at", type: 1184 },
  ],
  { schema: "millrace" },
);
const ID = "6f1c0c4e-7a63-4f0c-9f43-0b8e5a2f2f10";
const row = (change: Readonly<Record<number, string | null>> = {}): (string | null)[] =>
  Object.assign([ID, "order", "42", "placed", '{"total": 1e400}', '{"tenant": "süd"}', "2026-01-01"], change);
const entry = (change: object = {}): string =>
  JSON.stringify({ id: ID, aggregatetype: "order", aggregateid: "42", type: "placed", payload: {}, ...change });
const shop = (text: string, n = 0): Position => `0001.${text}${n.toString(16).padStart(6, "0")}` as Position;
const hex = (lsn: number): string => lsn.toString(16).padStart(16, "0");
const outbox = { content: entry(), prefix: "millrace.outbox", transactional: true };

const one = (message: EncodedMessage | undefined): EncodedMessage => {
  if (message === undefined) throw new Error("there is no such message");
  return message;
};

describe("a logical message", () => {
  test("inside a transaction keeps its place among the rows", () => {
    const frames = [begin(0x90n), ITEM, insert(0x10n, 1, ["1"])];
    frames.push(message(0x30n, { prefix: "audit.log", content: "ä", transactional: true }));
    frames.push(insert(0x30n, 1, ["2"]), commit(0x90n, 0x98n));
    const messages = decodeFrames(frames, { messages: ["audit.log"] });

    expect(messages.map(({ position }) => position)).toEqual([
      shop(`${hex(0x90)}.${hex(0x10)}.r`),
      shop(`${hex(0x90)}.${hex(0x2f)}.m`),
      `${shop(`${hex(0x90)}.${hex(0x30)}.r`)}+`,
    ]);
    expect(shown(one(messages[1]))).toMatchObject({
      subject: "meta.shop.message.audit~2Elog",
      body: { prefix: "audit.log", transactional: true, content: "ä" },
    });
    expect(headers(one(messages[1]))).toMatchObject({
      "ce-id": `shop.${shop(`${hex(0x90)}.${hex(0x2f)}.m`)}`,
      "ce-type": "shop.meta.message.audit.log",
      "Cdc-Tx": "7",
    });
  });

  test("as the last of its transaction ends it", () => {
    const last = message(0x30n, { prefix: "audit", transactional: true });
    const [only] = decodeFrames([begin(0x90n), last, commit(0x90n, 0x98n)], { messages: ["audit"] });

    expect(only?.position).toBe(`${shop(`${hex(0x90)}.${hex(0x2f)}.m`)}+`);
    expect(headers(one(only))["Cdc-Tx-Last"]).toBe("1");
  });

  test("outside of transactions stands at the last byte of its record, complete by itself", () => {
    const frames = [keepalive(0x30n), message(0x30n, { prefix: "audit" }), begin(0x30n), ITEM];
    const messages = decodeFrames([...frames, insert(0x30n, 1, ["1"]), commit(0x30n, 0x38n)], { messages: ["audit"] });

    expect(messages.map(({ position }) => position)).toEqual([
      boundaryBefore(1, 0x30n),
      `${shop(`${hex(0x2f)}.${hex(0x2f)}.m`)}+`,
      `${shop(`${hex(0x30)}.${hex(0x30)}.r`)}+`,
    ]);
    expect(shown(one(messages[1]))).toMatchObject({ body: { transactional: false, content: "x" } });
    expect(headers(one(messages[1]))).not.toHaveProperty("Cdc-Tx");
  });

  test("that is stored already is dropped, as is all that was before it", () => {
    const frames = [message(0x20n, { prefix: "audit" }), message(0x30n, { prefix: "audit" }), keepalive(0x30n)];
    const options = { messages: ["audit"], from: `${shop(`${hex(0x2f)}.${hex(0x2f)}.m`)}+` as Position };

    expect(decodeFrames(frames, options)).toEqual([]);
  });

  test("of bytes that are no text comes as base64", () => {
    const content = Uint8Array.of(0xff, 0);
    const [only] = decodeFrames([message(0x30n, { prefix: "audit", content })], { messages: ["audit"] });

    expect(shown(one(only))).toMatchObject({ body: { contentBase64: "/wA=" } });
  });

  test("that begins with a byte order mark keeps it", () => {
    const content = Buffer.from("\uFEFFabc");
    const [only] = decodeFrames([message(0x30n, { prefix: "audit", content })], { messages: ["audit"] });

    expect(shown(one(only))).toMatchObject({ body: { content: "\uFEFFabc" } });
  });

  test("with a prefix that nobody asked for is dropped", () => {
    const inside = message(0x40n, { ...outbox });
    const frames = [message(0x30n), begin(0x90n), inside, commit(0x90n, 0x98n)];

    expect(decodeFrames(frames, { messages: ["audit"] }).map(({ type }) => type)).toEqual(["commit"]);
  });
});

describe("an outbox row", () => {
  test("is one domain event in its place, with the row's id, and no change", () => {
    const frames = [begin(0x90n), ITEM, OUTBOX, insert(0x10n, 1, ["1"]), insert(0x20n, 2, row())];
    frames.push(remove(0x28n, 2, "K", row()), insert(0x30n, 1, ["2"]), commit(0x90n, 0x98n));
    const messages = decodeFrames(frames, { outbox: "messages" });

    expect(messages.map((message) => shown(message).subject)).toEqual([
      expect.stringMatching(/^cdc\.shop\.public\.item\.created/),
      "events.shop.order.placed.p03",
      expect.stringMatching(/^cdc\.shop\.public\.item\.created/),
    ]);
    expect(messages[1]?.position).toBe(shop(`${hex(0x90)}.${hex(0x20)}.r`));
    expect(headers(one(messages[1]))).toEqual({
      "ce-specversion": "1.0",
      "ce-source": "/shop",
      "ce-type": "order.placed",
      "ce-subject": "order/42",
      "ce-id": ID,
      "ce-time": "2000-01-01T00:00:00.000000Z",
      "content-type": "application/json",
      "Cdc-Tx": "7",
      tenant: "s%C3%BCd",
    });
    expect(bodyText(one(messages[1]))).toBe('{"total": 1e400}');
  });

  test.each([
    ["an id that is no uuid", row({ 0: "42" })],
    ["no aggregate", row({ 1: "" })],
    ["no key", row({ 2: null })],
    ["a type that is too long", row({ 3: "x".repeat(201) })],
    ["headers that are a list", row({ 5: "[]" })],
    ["a header of ours", row({ 5: '{"Cdc-Pos": "1"}' })],
    ["a header that would break the line", row({ 5: '{"a\\r\\nb": "1"}' })],
    ["a header that is no text", row({ 5: '{"a": 1}' })],
  ])("with %s is poison in its place", (_, values) => {
    const frames = [begin(0x90n), OUTBOX, insert(0x20n, 2, values), commit(0x90n, 0x98n)];
    const [only] = decodeFrames(frames, { outbox: "messages" });

    expect(only).toMatchObject({
      type: "poison",
      position: `${shop(`${hex(0x90)}.${hex(0x20)}.r`)}+`,
      namespace: "millrace",
      collection: "outbox",
      error: { code: "OUTBOX_MALFORMED" },
    });
  });
});

describe("an outbox message", () => {
  test("is a domain event whose payload keeps its text", () => {
    const content = `{ "payload" : {"a": [1.00, "}\\""]} , "id":"${ID}","type":"placed","aggregatetype":"order","aggregateid":"42"}`;
    const frames = [begin(0x90n), message(0x30n, { ...outbox, content }), commit(0x90n, 0x98n)];
    const [only] = decodeFrames(frames, { outbox: "messages" });

    expect(only?.position).toBe(`${shop(`${hex(0x90)}.${hex(0x2f)}.m`)}+`);
    expect(shown(one(only)).subject).toBe("events.shop.order.placed.p03");
    expect(headers(one(only))["ce-id"]).toBe(ID);
    expect(bodyText(one(only))).toBe('{"a": [1.00, "}\\""]}');
  });

  test.each(["", "{", "null", "[]", entry({ payload: undefined }), entry({ id: "42" })])(
    "of %j is poison in its place",
    (content) => {
      const frames = [begin(0x90n), message(0x30n, { ...outbox, content }), commit(0x90n, 0x98n)];
      const [only] = decodeFrames(frames, { outbox: "messages" });

      expect(only).toMatchObject({ type: "poison", namespace: "message", collection: "millrace.outbox" });
      expect(only?.position).toBe(`${shop(`${hex(0x90)}.${hex(0x2f)}.m`)}+`);
    },
  );
});

test("a message of the outbox is no event where the outbox has a table, and that is told", () => {
  let told = 0;
  const frames = [begin(0x90n), ITEM, message(0x20n, outbox), insert(0x30n, 1, ["2"]), commit(0x90n, 0x98n)];
  const events = decodeFrames(frames, { outbox: true, onUnreadMessage: () => told++ });

  expect(events.map((event) => event.type === "message" && event.subject.split(".")[0])).toEqual(["cdc"]);
  expect(told).toBe(1);
});

describe("a message that was cut for its size", () => {
  const cut = (frame: Buffer): Buffer => {
    const cutter = new FrameCutter();
    cutter.add(frame, 0, frame.length);
    return cutter.end();
  };
  const large = "x".repeat(100_000);

  test("is poison in its place, inside a transaction or outside, when it is one to read", () => {
    const frames = [cut(message(0x30n, { prefix: "audit", content: large })), begin(0x90n)];
    frames.push(cut(message(0x40n, { ...outbox, content: large })), commit(0x90n, 0x98n));
    const [lone, inside] = decodeFrames(frames, { messages: ["audit"], outbox: "messages" });

    const error = { code: "ROW_TOO_LARGE" };
    expect(lone).toMatchObject({ type: "poison", collection: "audit", transaction: undefined, error });
    expect(lone?.position).toBe(`${shop(`${hex(0x2f)}.${hex(0x2f)}.m`)}+`);
    expect(inside).toMatchObject({ type: "poison", collection: "millrace.outbox", transaction: { id: "7" }, error });
    expect(inside?.position).toBe(`${shop(`${hex(0x90)}.${hex(0x3f)}.m`)}+`);
  });

  test("is dropped when nobody reads its prefix, however long that is", () => {
    const frames = [cut(message(0x30n, { content: large })), cut(message(0x40n, { prefix: large }))];

    expect(decodeFrames(frames, { messages: ["audit"] })).toEqual([]);
  });
});

describe("a lineage", () => {
  const trail = ["order~0123456789abcdef", "receipt~fedcba9876543210"];
  const cause = { correlationId: "a b", causationId: "shop.1", hops: 2, automation: "receipt", trail };
  const lines = {
    "ce-correlationid": "a%20b",
    "ce-causationid": "shop.1",
    "ce-hops": "2",
    "ce-automation": "receipt",
    "ce-trail": trail.join(","),
  };
  const lineage = (content: string): Buffer =>
    message(0x18n, { prefix: "millrace.lineage", content, transactional: true });
  /** As the decoder of the tests knows it; the log has the lower 32 bits of the transaction's id. */
  const seal = { key: "of the tests", transaction: String(2n ** 32n + 7n) };

  test("is carried by every change behind it, and is no event itself", () => {
    const frames = [
      begin(0x90n),
      ITEM,
      insert(0x10n, 1, ["1"]),
      lineage(lineageText(cause, seal)),
      message(0x20n, outbox),
    ];
    frames.push(insert(0x30n, 1, ["2"]), commit(0x90n, 0x98n));
    frames.push(begin(0xa0n), insert(0xa0n, 1, ["3"]), commit(0xa0n, 0xa8n));
    const events = decodeFrames(frames, { outbox: "messages" });

    expect(events.map((event) => "ce-hops" in headers(event))).toEqual([false, true, true, false]);
    expect(headers(one(events[1]))).toMatchObject(lines);
    expect(headers(one(events[2]))).toMatchObject(lines);
  });

  test("is carried after a restart inside its transaction, too", () => {
    const frames = [
      begin(0x90n),
      ITEM,
      lineage(lineageText(cause, seal)),
      insert(0x20n, 1, ["1"]),
      insert(0x30n, 1, ["2"]),
    ];
    const from = shop(`${hex(0x90)}.${hex(0x20)}.r`);
    const events = decodeFrames([...frames, commit(0x90n, 0x98n)], { from });

    expect(events).toHaveLength(1);
    expect(headers(one(events[0]))).toMatchObject(lines);
  });

  test.each([
    ["without a seal", undefined],
    ["sealed by another key", { ...seal, key: "guessed" }],
    ["sealed for another transaction", { ...seal, transaction: "8" }],
  ])("%s says what caused what, and nothing that stops an automation", (_, other) => {
    const frames = [begin(0x90n), ITEM, lineage(lineageText(cause, other)), insert(0x20n, 1, ["1"])];
    const [event] = decodeFrames([...frames, commit(0x90n, 0x98n)]);

    expect(headers(one(event))).toMatchObject({ "ce-correlationid": "a%20b", "ce-causationid": "shop.1" });
    expect(Object.keys(headers(one(event))).filter((name) => /hops|trail|automation/.test(name))).toEqual([]);
  });

  test("whose text was altered behind its seal says no more either", () => {
    const altered = lineageText(cause, seal).replace('"hops":2', '"hops":8');
    const frames = [begin(0x90n), ITEM, lineage(altered), insert(0x20n, 1, ["1"]), commit(0x90n, 0x98n)];

    expect(headers(one(decodeFrames(frames)[0]))).not.toHaveProperty("ce-hops");
  });

  test("that says nothing is poison in its place", () => {
    const frames = [begin(0x90n), lineage('{"hops": -1}'), commit(0x90n, 0x98n)];

    expect(decodeFrames(frames)).toMatchObject([{ type: "poison", error: { code: "LINEAGE_MALFORMED" } }]);
  });
});
