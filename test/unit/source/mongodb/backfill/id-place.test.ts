// The `_id` behind which a copy goes on: what comes back of it from the progress, and which documents are refused.

import {
  Binary,
  BSON,
  Code,
  DBRef,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from "mongodb";
import { expect, test } from "vitest";
import { checkId, idBehind, placeBehind } from "../../../../../src/source/mongodb/backfill/id-place.ts";
import { idOf } from "../../../../../src/source/mongodb/backfill/row-body.ts";

const target = { id: "aa", namespace: "shop", collection: "orders" };
const raw = (document: BSON.Document): Buffer => Buffer.from(BSON.serialize(document, { ignoreUndefined: false }));

/** The bytes of `{_id}` that the server would be asked by, behind the document. */
function askedBehind(document: Buffer): Buffer {
  const id = idOf(document);
  checkId(target, id);
  const after = JSON.parse(JSON.stringify(placeBehind(target, id, undefined)));
  return raw({ _id: idBehind({ target, after })?.value });
}

test.each([
  ["ObjectId", new ObjectId()],
  ["int32", new Int32(7)],
  ["int64", Long.fromString("9007199254740993")],
  ["small int64", Long.fromNumber(7)],
  ["double", new Double(7)],
  ["-0", new Double(-0)],
  ["infinity", new Double(Number.NEGATIVE_INFINITY)],
  ["decimal128", Decimal128.fromString("1.500E+600")],
  ["a text like an operator", "$oid"],
  ["a text with zeroes", "a\0b"],
  ["null", null],
  ["boolean", false],
  ["date", new Date(-1)],
  ["timestamp", new Timestamp({ t: 4_294_967_295, i: 1 })],
  ["binary", new Binary(Buffer.from("abc"), 0x80)],
  ["binary of the old kind", new Binary(Buffer.from("abc"), 2)],
  ["MinKey", new MinKey()],
  ["MaxKey", new MaxKey()],
  ["a document", { b: new Int32(1), a: { list: [new Double(1), Long.ONE, null, new Date(5)] } }],
  ["a document of names that numbers have", { "2": "b", x: new Int32(1) }],
  ["a reference", new DBRef("orders", new ObjectId())],
  ["code", new Code("f()", { x: new Int32(1) })],
])("%s comes back byte for byte", (_, id) => {
  const document = raw({ before: 1, _id: id, more: 2 });

  expect(askedBehind(document)).toEqual(raw({ _id: id }));
});

test("each that is no number is one to the server's order", () => {
  const odd = raw({ _id: new Double(Number.NaN) });
  odd[9] = 1;

  expect(askedBehind(odd)).toEqual(raw({ _id: new Double(Number.NaN) }));
});

const date = (ms: bigint): Buffer => {
  const document = raw({ _id: new Date(0) });
  document.writeBigInt64LE(ms, 9);
  return document;
};
const broken = raw({ _id: "aé" });
broken[broken.length - 3] = 0xff;

test.each([
  ["a date beyond JavaScript's years", date(8_640_000_000_000_001n), /cannot send back/],
  ["a text that is no UTF-8", broken, /cannot send back/],
  [
    "a document whose names JavaScript sorts anew",
    raw({
      _id: new Map([
        ["x", 1],
        ["2", 1],
      ]),
    }),
    /cannot send back/,
  ],
  ["more than 8 KiB", raw({ _id: "x".repeat(8192) }), /larger than 8192 bytes \(8197\)/],
])("%s is refused", (_, document, why) => {
  expect(() => askedBehind(document)).toThrow(
    expect.objectContaining({ code: "BACKFILL_ID_UNFIT", message: expect.stringMatching(why) }),
  );
});

test("of another collection nothing was read", () => {
  const after = placeBehind({ ...target, id: "bb" }, idOf(raw({ _id: 1 })), undefined);

  expect(idBehind({ target, after })).toBeUndefined();
  expect(idBehind({ target, after: undefined })).toBeUndefined();
});
