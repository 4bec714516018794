// What is said of documents is true of them: of all that a validator lets in, and of what a sample holds, as events carry it.

import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
  UUID,
} from "mongodb";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import type { Encoding } from "../../../../../src/source/mongodb/values/bson-json.ts";
import { describeOrders } from "../../../../support/mongodb/described.ts";

const oid = new ObjectId("0123456789abcdef01234567");
/** One of each type, by its name in a validator; what it is made of is not its JSON. */
const every: Readonly<Record<string, readonly unknown[]>> = {
  double: [
    new Double(1.5),
    new Double(5),
    new Double(-0),
    new Double(Number.NaN),
    new Double(Number.POSITIVE_INFINITY),
  ],
  string: ["", "1", "é\u2028"],
  object: [{}, { a: 1, "b.c": { $d: null } }],
  array: [[], [1, "a", [null]]],
  binData: [new Binary(Buffer.from([1, 2])), new UUID(), new Binary(Buffer.alloc(16), 3)],
  undefined: [undefined],
  objectId: [oid],
  bool: [true, false],
  date: [new Date(0), new Date(-8e15)],
  null: [null],
  regex: [new BSONRegExp("a", "i")],
  javascript: [new Code("f()")],
  symbol: [new BSONSymbol("s")],
  javascriptWithScope: [new Code("f()", { a: 1 })],
  int: [new Int32(-7)],
  timestamp: [new Timestamp({ t: 4_000_000_000, i: 1 })],
  long: [Long.fromBigInt(9007199254740991n), Long.fromBigInt(9007199254740993n), Long.MIN_VALUE],
  decimal: [Decimal128.fromString("1.50"), Decimal128.fromString("NaN")],
  minKey: [new MinKey()],
  maxKey: [new MaxKey()],
};
const names = Object.keys(every);
const documentsOf = (name: string): readonly object[] => (every[name] ?? []).map((v, nth) => ({ _id: nth, v }));
const typed = (v: unknown, more: object = {}): object => ({
  validator: {
    $jsonSchema: { bsonType: "object", required: ["v"], properties: { _id: { bsonType: "int" }, v }, ...more },
  },
});

describe.each<Encoding>(["json", "ejson"])("in %s, types", (encoding) => {
  test.each(names)("from a validator of %s are true of what is delivered", (name) => {
    const { allows, compile } = describeOrders(typed({ bsonType: name }), [], encoding);
    for (const document of documentsOf(name)) expect([name, allows(document)]).toEqual([name, true]);
    expect(compile(documentsOf(name))).toEqual([]);
  });

  test.each(names)("from a sample of %s are true of it", (name) => {
    const { allows, compile } = describeOrders({}, documentsOf(name), encoding);
    for (const document of documentsOf(name)) expect(allows(document)).toBe(true);
    expect(compile(documentsOf(name))).toEqual([]);
  });

  test("from a sample of everything are true of all", () => {
    const documents = names.flatMap(documentsOf);
    const { allows, compile } = describeOrders({}, documents, encoding);
    expect(documents.filter((document) => !allows(document))).toEqual([]);
    expect(compile(documents)).toEqual([]);
  });

  test("from a validator of all numbers are true of each", () => {
    const { allows, compile } = describeOrders(typed({ bsonType: "number" }), [], encoding);
    const documents = ["int", "long", "double", "decimal"].flatMap(documentsOf);
    expect(documents.filter((document) => !allows(document))).toEqual([]);
    expect(compile(documents)).toEqual([]);
  });
});

describe("types", () => {
  test("are no wider than what a validator says", () => {
    const { ts: text } = describeOrders(
      {
        validator: {
          $jsonSchema: {
            bsonType: "object",
            required: ["status", "lines", "total"],
            properties: {
              _id: { bsonType: "objectId" },
              status: { bsonType: "string", enum: ["new", "paid"] },
              total: { bsonType: "decimal" },
              count: { bsonType: "long" },
              at: { bsonType: ["date", "null"] },
              lines: {
                bsonType: "array",
                items: {
                  bsonType: "object",
                  required: ["sku"],
                  properties: { sku: { bsonType: "string" }, n: { bsonType: "int", enum: [1, 2] } },
                },
              },
              labels: { bsonType: "object", additionalProperties: { bsonType: "string" } },
              none: { bsonType: "object", additionalProperties: false },
            },
          },
        },
      },
      [],
    );
    expect(text).toContain(`export interface Orders {
  /** objectId */
  readonly _id: string;
  /** string */
  readonly status: "new" | "paid";
  /** decimal */
  readonly total: string;
  /** long */
  readonly count?: number | string;
  /** date | null */
  readonly at?: string | null;
  /** array */
  readonly lines: readonly ({ readonly sku: string; readonly n?: 1 | 2 })[];
  /** object */
  readonly labels?: Readonly<Record<string, string>>;
  /** object */
  readonly none?: Readonly<Record<string, never>>;
}`);
    expect(text).toContain(
      "as its validator has it: documents older than that, or written past it, may differ. */\nexport interface Orders",
    );
    expect(text).toContain(
      '  orders: collection<Orders, Pick<Orders, "_id">, never, Orders | null>("shop", "shop.orders", {\n    columns: { total: "number", count: "number" },\n    open: true,\n  }),',
    );
    expect(ts.transpileModule(text, { reportDiagnostics: true }).diagnostics).toEqual([]);
  });

  test.each<[string, unknown, readonly unknown[]]>([
    [
      "of a list of values, numbers of every type",
      { enum: [1, 2.5] },
      [1, 2.5, new Double(1), Long.ONE, Decimal128.fromString("1.0")],
    ],
    ["of a list of values, symbols", { enum: ["a", true, null] }, ["a", true, null, new BSONSymbol("a")]],
    [
      "of a list with a large number",
      { enum: [Long.fromBigInt(1n << 60n)] },
      [Long.fromBigInt(1n << 60n), new Double(2 ** 60)],
    ],
    ["of a list with NaN", { enum: [Number.NaN] }, [Number.NaN, Decimal128.fromString("NaN")]],
    [
      "of a list with documents and others",
      { enum: [{ a: 1 }, [1], oid, new Date(0), /a/] },
      [{ a: Long.ONE }, [1], oid, new Date(0), /a/],
    ],
    ["of a list with types that are rare", { enum: [new Code("x")] }, [new Code("x")]],
    ["of properties without a type", { properties: { a: { bsonType: "int" } } }, ["a", 1, [], { a: 1 }, {}, null]],
    ["of items without a type", { items: { bsonType: "int" } }, ["a", [1], {}]],
    ["of a tuple with more behind it", { bsonType: "array", items: [{ bsonType: "int" }] }, [[], [1], [1, "a", null]]],
    [
      "of a tuple that ends",
      { bsonType: "array", items: [{ bsonType: "int" }, { bsonType: "string" }], additionalItems: false },
      [[1, "a"]],
    ],
    ["of arrays in arrays", { bsonType: "array", items: { bsonType: ["int", "array"] } }, [[1, [1, "a"], []]]],
    [
      "of patterns beside a closed list",
      { bsonType: "object", additionalProperties: false, patternProperties: { "^x": { bsonType: "int" } } },
      [{ x1: 1 }, {}],
    ],
    [
      "of patterns beside a typed rest",
      {
        bsonType: "object",
        additionalProperties: { bsonType: "string" },
        patternProperties: { "^x": { bsonType: "int" } },
      },
      [{ x1: 1, y: "a" }],
    ],
    ["of what only is required", { bsonType: "object", required: ["a"] }, [{ a: 1 }, { a: null, b: 2 }]],
    [
      "of one of several",
      {
        anyOf: [
          { bsonType: "int" },
          { bsonType: "object", required: ["a"], properties: { a: { bsonType: "int" } } },
          { bsonType: "object", properties: { b: { bsonType: "string" } } },
        ],
      },
      [1, { a: 1 }, { b: "x", a: "any" }],
    ],
    ["of exactly one of several", { oneOf: [{ bsonType: "int" }, { enum: ["x"] }] }, [1, "x"]],
    ["of all of several", { allOf: [{ bsonType: ["int", "string"] }, { enum: ["x", 5] }] }, [5, "x"]],
    ["of what must not be", { not: { bsonType: "int" } }, ["x", null, {}]],
    [
      "of JSON Schema's own types",
      { type: ["number", "boolean", "object", "array", "null", "string"] },
      [1, Decimal128.fromString("2"), true, {}, [], null, "x"],
    ],
    ["of a type that is not known", { bsonType: ["int", "brandNew"] }, [1, "x"]],
    ["of encrypted values", { encrypt: { bsonType: "string" } }, [new Binary(Buffer.from([1]), 6)]],
    ["of no keyword at all", {}, [1, "x", null, [], {}]],
  ])("%s, are true of what is let in", (_, schema, values) => {
    const { allows, compile } = describeOrders(typed(schema), []);
    const documents = values.map((v, nth) => ({ _id: nth, v, more: nth }));
    expect(documents.filter((document) => !allows(document))).toEqual([]);
    expect(compile(documents)).toEqual([]);
  });

  test("refuse what a validator refuses", () => {
    const { allows, compile } = describeOrders(typed({ bsonType: "int" }, { additionalProperties: false }), []);
    expect(allows({ _id: 1, v: 1 })).toBe(true);
    for (const wrong of [{ _id: 1, v: "1" }, { _id: 1 }, { _id: "1", v: 1 }, { _id: 1, v: 1, w: 1 }])
      expect(allows(wrong)).toBe(false);
    expect(compile([{ _id: 1, v: "1" }])).toHaveLength(1);
    expect(compile([{ _id: 1 }])).toHaveLength(1);
  });

  test("from a sample say so, with unions, members that may be missing, and mixed keys", () => {
    const documents = [
      { _id: 1, a: 1, o: { x: 1 }, l: [] },
      { _id: oid, a: "x", o: { x: null, y: true }, l: [1, "a", { z: 1 }, { z: 2, u: 1 }] },
      { _id: { k: "x" }, "b c": null, a: Long.ONE },
    ];
    const { ts: text, compile } = describeOrders({}, documents);
    expect(text).toContain("/** A document of `shop.orders`, from a sample of 3 documents: others may differ. */");
    expect(text).toContain(`  /** object | objectId | int */
  readonly _id: { readonly k: string } | string | number;
  /** string | int | long */
  readonly a: string | number;
  /** null */
  readonly "b c"?: null;
  /** array */
  readonly l?: readonly (string | { readonly u?: number; readonly z: number } | number)[];
  /** object */
  readonly o?: { readonly x: null | number; readonly y?: boolean };
`);
    expect(compile(documents)).toEqual([]);
  });

  test("make a map of a document whose names are data", () => {
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, nth) => [`customer${nth}`, nth]));
    const { ts: text, allows } = describeOrders({}, [{ _id: 1, many }]);
    expect(text).toContain("readonly many: Readonly<Record<string, number>>;");
    expect(allows({ _id: 1, many: { another: 5 } })).toBe(true);
  });

  test("of an empty collection without a validator say nothing", () => {
    const { ts: text } = describeOrders({}, []);
    expect(text).toContain(
      "and there is none yet. */\nexport interface Orders {\n  /** any */\n  readonly _id: unknown;\n}",
    );
  });

  test.each([
    ["only warns", { validationAction: "warn" }],
    ["is off", { validationLevel: "off" }],
    ["has no schema", { validator: { v: { $gt: 5 } } }],
  ])("are from a sample where the validator %s", (_, options) => {
    const { ts: text } = describeOrders({ ...typed({ bsonType: "int" }), ...options }, [{ _id: 1, v: "x" }]);
    expect(text).toContain("from a sample of one document: others may differ");
    expect(text).toContain("readonly v: string;");
  });

  test("name the documents that a moderate validator lets be", () => {
    const { ts: text } = describeOrders({ ...typed({ bsonType: "int" }), validationLevel: "moderate" }, []);
    expect(text).toContain("or updated though they were invalid before, may differ");
  });

  test("take the key from a sample where the validator does not say, and tell so", () => {
    const options = { validator: { $and: [{ $jsonSchema: { required: ["v"] } }, { v: { $gt: 1 } }] } };
    const { ts: text } = describeOrders(options, [{ _id: oid, v: 2 }]);
    expect(text).toContain(
      "  /** objectId, in a sample of one document: the validator does not say */\n  readonly _id: string;",
    );
    expect(text).toContain("readonly v: unknown;");
  });
});

test("a document whose named members may all be absent may have none of them, and others instead", () => {
  const { compile } = describeOrders(typed({ bsonType: "object", properties: { a: { bsonType: "object" } } }), []);

  expect(
    compile([
      { _id: 0, v: { b: 1 } },
      { _id: 1, v: {} },
      { _id: 2, v: { a: {}, b: "x" } },
    ]),
  ).toEqual([]);
  expect(compile([{ _id: 3, v: { a: 1 } }])).not.toEqual([]);
});
