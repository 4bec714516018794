// Values of MongoDB as JSON; the canonical Extended JSON beside that of the driver's own `bson`.

import fc from "fast-check";
import {
  Binary,
  BSON,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
  UUID,
} from "mongodb";
import { describe, expect, test } from "vitest";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import { type Encoding, writeDocument } from "../../../../../src/source/mongodb/values/bson-json.ts";

const { EJSON } = BSON;
const writer = new JsonWriter();

function jsonOf(bytes: Uint8Array, encoding: Encoding = "json"): string {
  writer.reserve(0);
  const start = writer.at;
  writeDocument(writer, encoding, Buffer.from(bytes));
  return Buffer.from(writer.view(start)).toString();
}

const oid = "0123456789abcdef01234567";
const bytes = Buffer.from([0, 1, 2, 250]);

describe("a value", () => {
  test.each<[string, unknown, string]>([
    ["int32", new Int32(-7), "-7"],
    ["a safe int64", Long.fromBigInt(9007199254740991n), "9007199254740991"],
    ["an int64 beyond", Long.fromBigInt(9007199254740993n), '"9007199254740993"'],
    ["the least int64", Long.MIN_VALUE, '"-9223372036854775808"'],
    ["a double", new Double(0.1), "0.1"],
    ["a whole double", new Double(5), "5"],
    ["negative zero", new Double(-0), "-0"],
    ["NaN", new Double(Number.NaN), '"NaN"'],
    ["infinity", new Double(Number.NEGATIVE_INFINITY), '"-Infinity"'],
    [
      "decimal128",
      Decimal128.fromString("123456789012345678901234567890.1234"),
      '"123456789012345678901234567890.1234"',
    ],
    ["text", 'é "\\\u0001\u{1f600}', JSON.stringify('é "\\\u0001\u{1f600}')],
    ["true", true, "true"],
    ["null", null, "null"],
    ["an ObjectId", new ObjectId(oid), `"${oid}"`],
    ["a date", new Date("2026-11-29T00:00:00.123Z"), '"2026-11-29T00:00:00.123Z"'],
    ["a UUID", new UUID("00112233-4455-6677-8899-aabbccddeeff"), '"00112233-4455-6677-8899-aabbccddeeff"'],
    ["bytes", new Binary(bytes), `"${bytes.toString("base64")}"`],
    ["a UUID of the old kind", new Binary(Buffer.alloc(16, 7), 3), `"${"07".repeat(16)}"`],
    ["bytes of the old kind", new Binary(bytes, 2), `"${bytes.toString("base64")}"`],
    ["a timestamp", new Timestamp({ t: 4_000_000_000, i: 7 }), '{"t":4000000000,"i":7}'],
    ["a regular expression", new BSONRegExp('^a"', "i"), '{"$regularExpression":{"pattern":"^a\\"","options":"i"}}'],
    ["code", new Code("f()"), '{"$code":"f()"}'],
    ["code with a scope", new Code("f()", { a: 1 }), '{"$code":"f()","$scope":{"a":1}}'],
    ["a symbol", new BSONSymbol("s"), '{"$symbol":"s"}'],
    ["the least key", new MinKey(), '{"$minKey":1}'],
    ["the greatest key", new MaxKey(), '{"$maxKey":1}'],
    ["a document", { a: { "b.c": [1, { $d: "e" }] } }, '{"a":{"b.c":[1,{"$d":"e"}]}}'],
    ["an empty array", [], "[]"],
  ])("%s", (_, value, json) => {
    expect(jsonOf(BSON.serialize({ v: value }))).toBe(`{"v":${json}}`);
  });

  test.each([
    [-62167219200001n, '"-62167219200001"'],
    [-62167219200000n, '"0000-01-01T00:00:00.000Z"'],
    [253402300799999n, '"9999-12-31T23:59:59.999Z"'],
    [253402300800000n, '"253402300800000"'],
    [-9223372036854775808n, '"-9223372036854775808"'],
  ])("the date %s is text without loss", (milliseconds, json) => {
    const document = Buffer.from(BSON.serialize({ v: new Date(0) }));
    document.writeBigInt64LE(milliseconds, 7);

    expect(jsonOf(document)).toBe(`{"v":${json}}`);
    expect(jsonOf(document, "ejson")).toBe(`{"v":{"$date":{"$numberLong":"${milliseconds}"}}}`);
  });

  test("members that JavaScript would take for its own stay members", () => {
    const names = '{"__proto__":1,"_bsonTYPE":"ObjectId","":2,"constructor":3}';
    const document = Buffer.from(BSON.serialize(JSON.parse(names) as Document));
    document.write("_bsontype", document.indexOf("_bsonTYPE")); // the driver would refuse to write it

    expect(jsonOf(document)).toBe('{"__proto__":1,"_bsontype":"ObjectId","":2,"constructor":3}');
  });

  test("text that is no UTF-8 becomes U+FFFD where it is broken, as the drivers read it", () => {
    const document = Buffer.from(BSON.serialize({ v: "ab" }));
    document[11] = 0xff;

    expect(jsonOf(document)).toBe('{"v":"\ufffdb"}');
  });
});

describe("plain JSON", () => {
  const yearsOfFourDigits = { min: new Date("0000-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59.999Z") };
  const leaf = fc.oneof(
    fc.integer().map((n): [unknown, unknown] => [new Int32(n), n]),
    fc
      .oneof(
        fc.maxSafeInteger(),
        fc.constantFrom(0, 9, 10, 99, 100, 2 ** 31, 2 ** 32 - 1, 2 ** 53 - 1, -(2 ** 53) + 1, -(2 ** 32)),
      )
      .map((n): [unknown, unknown] => [Long.fromNumber(n), n]),
    fc.date({ ...yearsOfFourDigits, noInvalidDate: true }).map((date): [unknown, unknown] => [date, date]),
    fc.uint8Array({ minLength: 12, maxLength: 12 }).map((id): [unknown, unknown] => {
      return [new ObjectId(id), Buffer.from(id).toString("hex")];
    }),
    fc
      .string({ unit: "binary", maxLength: 200 })
      .map((text): [unknown, unknown] => [text, Buffer.from(text).toString()]),
  );

  test("says of the usual kinds what JSON.stringify says of JavaScript's own", () => {
    fc.assert(
      fc.property(fc.array(leaf, { maxLength: 8 }), (values) => {
        const json = jsonOf(BSON.serialize({ list: values.map(([stored]) => stored) }));

        expect(json).toBe(JSON.stringify({ list: values.map(([, said]) => said) }));
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("canonical Extended JSON", () => {
  const leaf = fc.oneof(
    fc.integer().map((n) => new Int32(n)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
    fc.double().map((n) => new Double(n)),
    fc.string({ unit: "grapheme" }),
    fc
      .tuple(
        fc.bigInt({ min: 0n, max: 10n ** 34n - 1n }),
        fc.integer({ min: -6176, max: 6111 }),
        fc.constantFrom("", "-"),
      )
      .map(([digits, exponent, sign]) => Decimal128.fromString(`${sign}${digits}E${exponent}`)),
    fc.constantFrom("NaN", "Infinity", "-Infinity", "-0", "0E+6111").map((text) => Decimal128.fromString(text)),
    fc.uint8Array({ minLength: 12, maxLength: 12 }).map((d) => new ObjectId(d)),
    fc.tuple(fc.uint8Array({ maxLength: 20 }), fc.constantFrom(0, 2, 3, 4, 5, 128)).map(([d, t]) => new Binary(d, t)),
    fc.date({ noInvalidDate: true }),
    fc.constantFrom(true, false, null, new MinKey(), new MaxKey()),
    fc.tuple(fc.nat(), fc.nat()).map(([t, i]) => new Timestamp({ t, i })),
  );
  const name = fc
    .string({ unit: "grapheme-ascii", maxLength: 8 })
    .filter((key) => !key.includes("\0") && key !== "__proto__");
  const tree = fc.letrec<{ document: Document; value: unknown }>((tie) => ({
    document: fc.dictionary(name, tie("value"), { maxKeys: 6 }),
    value: fc.oneof({ depthSize: "small" }, leaf, tie("document"), fc.array(tie("value"), { maxLength: 4 })),
  }));

  test("says what the driver's own says, of any document", () => {
    fc.assert(
      fc.property(tree.document, (document) => {
        const serialized = BSON.serialize(document);
        const theirs = EJSON.stringify(BSON.deserialize(serialized, { promoteValues: false, bsonRegExp: true }), {
          relaxed: false,
        });

        // Of a double the digits may differ where both are the same number.
        const doubles = (key: string, value: unknown) => (key === "$numberDouble" ? Number(value) : value);
        expect(JSON.parse(jsonOf(serialized, "ejson"), doubles)).toEqual(JSON.parse(theirs, doubles));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("what is no BSON", () => {
  test("is told as such wherever a byte of it is wrong, or reads as other JSON: nothing else is thrown", () => {
    const document = Buffer.from(
      BSON.serialize({
        a: "text",
        b: { c: [1, new Long(2), new Date(0)] },
        d: new Binary(bytes),
        e: new Code("x", { y: 1 }),
      }),
    );
    for (let at = 0; at < document.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const broken = Buffer.from(document);
        broken[at] = value;
        try {
          JSON.parse(jsonOf(broken));
        } catch (error) {
          expect(error).toMatchObject({ name: "PoisonError", code: "BSON_MALFORMED" });
        }
      }
      const cut = document.subarray(0, at);
      expect(() => jsonOf(cut)).toThrow(expect.objectContaining({ code: "BSON_MALFORMED" }));
    }
  });

  test("nested without an end is refused", () => {
    let document: Document = {};
    for (let depth = 0; depth < 300; depth++) document = { d: document };

    expect(() => jsonOf(BSON.serialize(document))).toThrow(expect.objectContaining({ code: "BSON_MALFORMED" }));
  });
});

test("a large document grows the writer as far as it needs", () => {
  const document = { list: Array.from({ length: 50_000 }, () => new MinKey()), text: "\u0001".repeat(300_000) };

  expect(JSON.parse(jsonOf(BSON.serialize(document)))).toEqual({
    list: document.list.map(() => ({ $minKey: 1 })),
    text: document.text,
  });
});

test.each<Encoding>(["json", "ejson"])(
  "a document as %s is the same wherever in it the writer's arena ends",
  (encoding) => {
    const document = BSON.serialize({
      name: "text",
      "ä\u0001": ["é", 7, Long.MAX_VALUE, new Date(0), new ObjectId(oid), null],
      nested: { c: new Code("x", { y: 1 }), r: new BSONRegExp("a", "i"), b: new Binary(bytes), d: 0.1 },
    });
    const expected = jsonOf(document, encoding);
    for (let left = 0; left <= expected.length; left++) {
      writer.reserve(0);
      writer.at = writer.bytes.length - left;
      const start = writer.at;
      writer.reserve(0);
      writeDocument(writer, encoding, Buffer.from(document));

      expect(Buffer.from(writer.view(start)).toString()).toBe(expected);
    }
  },
);
