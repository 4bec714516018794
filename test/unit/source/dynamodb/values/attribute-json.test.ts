// Attributes of DynamoDB as JSON.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Attribute, Item } from "../../../../../src/source/dynamodb/values/attribute.ts";
import { attributeJson, itemJson } from "../../../../../src/source/dynamodb/values/attribute-json.ts";
import { compareDecimals } from "../../../../../src/source/dynamodb/values/decimal.ts";
import { changedNames } from "../../../../../src/source/dynamodb/values/same-value.ts";

describe("an attribute", () => {
  test.each<[string, Attribute, string]>([
    ["a text", { S: 'q"\\\n\u2028é😀' }, '"q\\"\\\\\\n\u2028é😀"'],
    ["an empty text", { S: "" }, '""'],
    ["a safe number", { N: "9007199254740991" }, "9007199254740991"],
    ["a number that no double holds", { N: "9007199254740993" }, '"9007199254740993"'],
    ["the first number that is not safe", { N: "9007199254740992" }, '"9007199254740992"'],
    ["a fraction", { N: "-0.25" }, "-0.25"],
    ["38 digits", { N: "12345678901234567890123456789012345678" }, '"12345678901234567890123456789012345678"'],
    ["a fraction of 38 digits", { N: "0.1234567890123456789" }, '"0.1234567890123456789"'],
    ["a small one, whose text another printer would write otherwise", { N: "0.0000001" }, '"0.0000001"'],
    ["a large one likewise", { N: `1${"0".repeat(21)}` }, `"1${"0".repeat(21)}"`],
    ["the least safe number", { N: "-9007199254740991" }, "-9007199254740991"],
    ["one below it", { N: "-9007199254740992" }, '"-9007199254740992"'],
    ["a number with an exponent, which servers beside AWS may print", { N: "1E+3" }, '"1E+3"'],
    ["a zero with a sign", { N: "-0" }, '"-0"'],
    ["a number with zeros that mean nothing", { N: "1.50" }, '"1.50"'],
    ["the smallest that there is", { N: "1E-130" }, '"1E-130"'],
    ["bytes", { B: "AAH6" }, '"AAH6"'],
    ["no bytes", { B: "" }, '""'],
    ["half of a letter", { S: "\ud800" }, '"\\ud800"'],
    ["true", { BOOL: true }, "true"],
    ["null", { NULL: true }, "null"],
    ["a list", { L: [{ N: "1" }, { L: [] }, { NULL: true }] }, "[1,[],null]"],
    ["a map", { M: { b: { S: "x" }, a: { M: {} } } }, '{"b":"x","a":{}}'],
    ["a set of texts, by its bytes", { SS: ["\u{10000}", "\uffff", "b", "a"] }, '["a","b","\uffff","\u{10000}"]'],
    ["a set of numbers, by value", { NS: ["10", "9", "-1.5", "0", "-10", "0.5"] }, "[-10,-1.5,0,0.5,9,10]"],
    ["a set of bytes, by its bytes", { BS: ["/w==", "AA==", "gA=="] }, '["AA==","gA==","/w=="]'],
  ])("that is %s", (_, attribute, json) => {
    expect(attributeJson(attribute, "json")).toBe(json);
    expect(attributeJson(attribute, "dynamodb-json")).toBe(JSON.stringify(attribute));
  });

  test("may be called __proto__", () => {
    const item = JSON.parse('{"__proto__":{"N":"1"},"m":{"M":{"__proto__":{"S":"x"}}}}') as Item;
    expect(itemJson(item, "json")).toBe('{"__proto__":1,"m":{"__proto__":"x"}}');
  });

  test.each<[string, unknown]>([
    ["of an unknown type", { Q: [] }],
    ["of no type", {}],
    ["of two types", { S: "", N: "1" }],
    ["that is no object", "S"],
    ["that is nothing", null],
    ["with a value of another type", { S: 1 }],
    ["with a number that is none", { N: "NaN" }],
    ["with an infinite number", { N: "Infinity" }],
    ["with an empty number", { N: "" }],
    ["with bytes that are no base64", { B: "A===" }],
    ["with bytes of another alphabet", { B: "_-8=" }],
    ["with a truth that is a text", { BOOL: "false" }],
    ["with a list that is none", { L: { 0: { S: "" } } }],
    ["with a map that is a text", { M: "x" }],
    ["with a map that is a list", { M: [{ S: "" }] }],
    ["with no map", { M: null }],
    ["with a set of other values", { SS: [1] }],
    ["with a set of numbers that are none", { NS: ["1", "x"] }],
    ["with a set of bytes that are none", { BS: ["?"] }],
    ["with a member like that", { M: { a: { L: [{ X: 1 }] } } }],
  ])("%s is poison in each encoding", (_, attribute) => {
    for (const encoding of ["json", "dynamodb-json"] as const)
      expect(() => attributeJson(attribute as Attribute, encoding)).toThrow(
        expect.objectContaining({ code: "ATTRIBUTE_UNKNOWN" }),
      );
  });

  test("may be nested as deeply as the server lets it, and never without end", () => {
    const nested = (depth: number): Attribute =>
      depth === 0 ? { S: "x" } : depth % 2 === 0 ? { L: [nested(depth - 1)] } : { M: { a: nested(depth - 1) } };
    expect(JSON.parse(attributeJson(nested(32), "json"))).toEqual(
      Array.from({ length: 32 }).reduce((inner, __, nth) => (nth % 2 === 0 ? { a: inner } : [inner]), "x"),
    );
    expect(attributeJson(nested(32), "dynamodb-json")).toBe(JSON.stringify(nested(32)));
    expect(() => attributeJson(nested(100), "json")).toThrow("nested too deeply");
  });
});

const decimal = fc
  .tuple(fc.boolean(), fc.bigInt({ min: 0n, max: 10n ** 38n - 1n }), fc.integer({ min: 0, max: 60 }))
  .map(([negative, digits, scale]) => {
    const text = String(digits).padStart(scale + 1, "0");
    const plain = scale === 0 ? text : `${text.slice(0, -scale)}.${text.slice(-scale)}`;
    return { text: negative ? `-${plain}` : plain, scaled: (negative ? -1n : 1n) * digits * 10n ** BigInt(60 - scale) };
  });

const attribute: fc.Arbitrary<Attribute> = fc.letrec<{ value: Attribute }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string({ unit: "binary" }).map((S) => ({ S })),
    decimal.map(({ text }) => ({ N: text })),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => ({ B: Buffer.from(bytes).toString("base64") })),
    fc.uniqueArray(fc.string({ unit: "grapheme" }), { minLength: 1 }).map((SS) => ({ SS })),
    fc.uniqueArray(fc.integer().map(String), { minLength: 1 }).map((NS) => ({ NS })),
    fc.boolean().map((BOOL) => ({ BOOL })),
    fc.array(tie("value")).map((L) => ({ L })),
    fc.array(fc.tuple(fc.string(), tie("value"))).map((members) => ({ M: Object.fromEntries(members) })),
  ),
})).value;

/** Another way to say the same. */
function reversed(value: Attribute): Attribute {
  const [type, inner] = Object.entries(value)[0] as [string, unknown];
  if (type === "SS" || type === "NS") return { [type]: [...(inner as string[])].reverse() };
  if (type === "L") return { L: (inner as Attribute[]).map(reversed) };
  if (type !== "M") return value;
  return {
    M: Object.fromEntries(
      Object.entries(inner as Item)
        .reverse()
        .map(([name, one]) => [name, reversed(one)]),
    ),
  };
}

describe("any attribute", () => {
  test("is JSON in which each text, number and list comes back", () => {
    const back = (value: Attribute, json: unknown): void => {
      const [type, inner] = Object.entries(value)[0] as [string, unknown];
      if (type === "N") expect(String(json)).toBe(inner);
      else if (type === "SS" || type === "NS")
        expect((json as unknown[]).map(String).sort()).toEqual([...(inner as string[])].sort());
      else if (type === "L") for (const [nth, one] of (inner as Attribute[]).entries()) back(one, (json as [])[nth]);
      else if (type === "M") {
        expect(Object.keys(json as Item)).toEqual(Object.keys(inner as Item));
        for (const [name, one] of Object.entries(inner as Item)) back(one, (json as Item)[name]);
      } else expect(json).toEqual(inner);
    };
    fc.assert(
      fc.property(attribute, (value) => {
        back(value, JSON.parse(attributeJson(value, "json")));
      }),
    );
  });

  test("is the same however its sets and maps are ordered, and another one otherwise", () => {
    fc.assert(
      fc.property(attribute, attribute, (value, other) => {
        expect(changedNames({ a: value }, { a: reversed(value) })).toEqual([]);
        const differs =
          JSON.stringify(value) !== JSON.stringify(other) && Object.keys(value)[0] !== Object.keys(other)[0];
        if (differs) expect(changedNames({ a: value, b: value }, { a: other, b: value })).toEqual(["a"]);
      }),
    );
  });
});

test("numbers are compared by value, to the last of 38 digits", () => {
  fc.assert(
    fc.property(decimal, decimal, (a, b) => {
      expect(Math.sign(compareDecimals(a.text, b.text))).toBe(a.scaled < b.scaled ? -1 : a.scaled > b.scaled ? 1 : 0);
    }),
  );
});
