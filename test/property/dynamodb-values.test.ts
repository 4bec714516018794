// Items of DynamoDB as events, against a reading of the same attributes that shares no code with it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { percentDecode } from "../../src/event/percent.ts";
import { keyOf } from "../../src/source/dynamodb/decode/key.ts";
import type { RawRecord } from "../../src/source/dynamodb/decode/record.ts";
import { RecordDecoder } from "../../src/source/dynamodb/decode/record-decoder.ts";
import type { Attribute, Item } from "../../src/source/dynamodb/values/attribute.ts";

/** A value of an item as a person would say it, without JSON and without floats. */
type Said =
  | { readonly text: string }
  | { readonly digits: bigint; readonly scale: number }
  | { readonly bytes: string }
  | { readonly flag: boolean | null }
  | { readonly list: readonly Said[] }
  | { readonly map: readonly (readonly [string, Said])[] }
  | { readonly set: "text" | "number" | "bytes"; readonly of: readonly Said[] };

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "\0", "__proto__", "\ud800", "\udfff\ud800", "\u2028", "NaN", "1", "null", "é\u0301"),
);
const name = fc.oneof(text, fc.constantFrom("constructor", "toString", "hasOwnProperty", "0", "S", "$t"));
/** Up to 38 digits, at the edges of what a double holds among them. */
const number = fc
  .oneof(
    fc.tuple(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }), fc.integer({ min: 0, max: 60 })),
    fc.tuple(fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }), fc.integer({ min: 0, max: 1 })),
    fc.tuple(fc.bigInt({ min: -(2n ** 53n) - 3n, max: -(2n ** 53n) + 3n }), fc.constant(0)),
    fc.tuple(fc.bigInt({ min: -20n, max: 20n }), fc.integer({ min: 0, max: 9 })),
  )
  .map(([digits, scale]) => shortened(digits, scale));

function shortened(digits: bigint, scale: number): { readonly digits: bigint; readonly scale: number } {
  return scale > 0 && digits % 10n === 0n ? shortened(digits / 10n, scale - 1) : { digits, scale };
}

const bytes = fc.uint8Array({ maxLength: 12 }).map((some) => ({ bytes: Buffer.from(some).toString("hex") }));
const said: fc.Arbitrary<Said> = fc.letrec<{ value: Said }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    text.map((one) => ({ text: one })),
    number,
    bytes,
    fc.constantFrom(true, false, null).map((flag) => ({ flag })),
    fc.array(tie("value"), { maxLength: 4 }).map((list) => ({ list })),
    fc.uniqueArray(fc.tuple(name, tie("value")), { maxLength: 4, selector: ([one]) => one }).map((map) => ({ map })),
    setOf(
      "text",
      text.map((one) => ({ text: one })),
    ),
    setOf("number", number),
    setOf("bytes", bytes),
  ),
})).value;

function setOf(set: "text" | "number" | "bytes", member: fc.Arbitrary<Said>): fc.Arbitrary<Said> {
  return fc
    .uniqueArray(member, { minLength: 1, maxLength: 5, selector: (one) => JSON.stringify(sent(one)) })
    .map((of) => ({ set, of }));
}

/** The number as the server prints it. */
function printed(digits: bigint, scale: number): string {
  const all = String(digits < 0n ? -digits : digits).padStart(scale + 1, "0");
  return `${digits < 0n ? "-" : ""}${scale === 0 ? all : `${all.slice(0, -scale)}.${all.slice(-scale)}`}`;
}

/** As the server sends it. */
function sent(value: Said): Attribute {
  if ("text" in value) return { S: value.text };
  if ("digits" in value) return { N: printed(value.digits, value.scale) };
  if ("bytes" in value) return { B: Buffer.from(value.bytes, "hex").toString("base64") };
  if ("flag" in value) return value.flag === null ? { NULL: true } : { BOOL: value.flag };
  if ("list" in value) return { L: value.list.map(sent) };
  if ("map" in value) return { M: Object.fromEntries(value.map.map(([key, one]) => [key, sent(one)])) };
  const type = { text: "SS", number: "NS", bytes: "BS" }[value.set];
  return { [type]: value.of.map((one) => Object.values(sent(one))[0]) };
}

/** Whether plain JSON says exactly that. */
function says(json: unknown, value: Said): boolean {
  if ("text" in value) return json === value.text;
  if ("digits" in value) return saysNumber(json, value.digits, value.scale);
  if ("bytes" in value) return Buffer.from(String(json), "base64").toString("hex") === value.bytes;
  if ("flag" in value) return json === value.flag;
  if ("list" in value)
    return (
      Array.isArray(json) && json.length === value.list.length && value.list.every((one, nth) => says(json[nth], one))
    );
  if ("map" in value) {
    const own = (key: string): unknown => Object.getOwnPropertyDescriptor(json, key)?.value;
    const names = Object.getOwnPropertyNames(json);
    return (
      !Array.isArray(json) &&
      names.length === value.map.length &&
      value.map.every(([key, one]) => names.includes(key) && says(own(key), one))
    );
  }
  if (!Array.isArray(json) || json.length !== value.of.length) return false;
  return inOrder(json, value.set) && value.of.every((one) => json.some((member) => says(member, one)));
}

/** A JSON number exactly where a double's shortest text is the number itself, and whole ones are safe. */
function saysNumber(json: unknown, digits: bigint, scale: number): boolean {
  const exact = printed(digits, scale);
  const isWhole = scale === 0;
  const isSafe = digits <= BigInt(Number.MAX_SAFE_INTEGER) && digits >= BigInt(Number.MIN_SAFE_INTEGER);
  const fits = isWhole ? isSafe : `${Number.parseFloat(exact)}` === exact;
  return fits ? typeof json === "number" && `${json}` === exact : json === exact;
}

/** The same set is the same text: texts by their code points, numbers by their values, bytes by theirs. */
function inOrder(members: readonly unknown[], set: "text" | "number" | "bytes"): boolean {
  const points = (one: unknown): readonly number[] =>
    [...String(one)].map((letter) => (/\p{Surrogate}/u.test(letter) ? 0xfffd : (letter.codePointAt(0) as number)));
  const scaled = (one: unknown): bigint => {
    const [, sign = "", whole = "0", part = ""] = /^(-?)(\d+)\.?(\d*)$/.exec(String(one)) ?? [];
    return BigInt(`${sign}${whole}${part.padEnd(60, "0")}`);
  };
  const hex = (one: unknown): string => Buffer.from(String(one), "base64").toString("hex");
  return members.slice(1).every((after, nth) => {
    const before = members[nth];
    if (set === "bytes") return hex(before) < hex(after);
    if (set === "number") return scaled(before) < scaled(after);
    const [a, b] = [points(before), points(after)];
    const at = a.findIndex((point, place) => point !== b[place]);
    return at < 0 ? a.length <= b.length : b[at] !== undefined && (a[at] as number) < (b[at] as number);
  });
}

const item = fc.uniqueArray(fc.tuple(name, said), { maxLength: 5, selector: ([one]) => one });
const itemOf = (members: readonly (readonly [string, Said])[]): Item =>
  Object.fromEntries(members.map(([key, one]) => [key, sent(one)]));

function decoderOf(encoding: "json" | "dynamodb-json", keyNames: readonly string[] = ["id"]): RecordDecoder {
  const place = { table: "carts", label: "l", shard: "s" };
  return new RecordDecoder({ source: "shop", name: place, arn: "arn", keyNames, encoding });
}

function bodyOf(decoder: RecordDecoder, dynamodb: object, eventName = "MODIFY"): Record<string, unknown> {
  // Through JSON, as it comes.
  const raw = { eventName, dynamodb: { SequenceNumber: "1", Keys: { id: { S: "a" } }, ...dynamodb } };
  const message = decoder.decode(JSON.parse(JSON.stringify(raw)) as RawRecord);
  if (!("data" in message)) throw new Error(`no event: ${JSON.stringify(message)}`);
  return JSON.parse(Buffer.from(message.data).toString("utf8"));
}

describe("an item", () => {
  test("is said as it is, to the last digit and whatever its attributes are called", () => {
    fc.assert(
      fc.property(item, (members) => {
        const { after, before } = bodyOf(decoderOf("json"), { NewImage: itemOf(members) });
        expect(before).toBeNull();
        expect(says(after, { map: members })).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("is the server's own with dynamodb-json, key and all", () => {
    fc.assert(
      fc.property(item, item, (one, two) => {
        const [OldImage, NewImage] = [itemOf(one), itemOf(two)];
        const body = bodyOf(decoderOf("dynamodb-json"), { OldImage, NewImage });
        expect(body.key).toEqual({ id: { S: "a" } });
        expect(JSON.stringify([body.before, body.after])).toBe(JSON.stringify([OldImage, NewImage]));
      }),
    );
  });

  test("has changed in what differs, and in nothing else, in either encoding", () => {
    fc.assert(
      fc.property(item, item, (one, two) => {
        const same = new Map(one.map(([key, value]) => [key, JSON.stringify(canonical(value))]));
        const other = new Map(two.map(([key, value]) => [key, JSON.stringify(canonical(value))]));
        const names = [...new Set([...same.keys(), ...other.keys()])];
        const changed = names.filter((key) => same.get(key) !== other.get(key)).sort();
        const images = { OldImage: itemOf(one), NewImage: itemOf(two) };
        for (const encoding of ["json", "dynamodb-json"] as const)
          expect(bodyOf(decoderOf(encoding), images).changed).toEqual(changed);
      }),
    );
  });
});

/** The same for what the server calls equal. */
function canonical(value: Said): unknown {
  if ("list" in value) return ["list", value.list.map(canonical)];
  if ("map" in value)
    return ["map", [...value.map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => [key, canonical(one)])];
  if ("set" in value) return [value.set, value.of.map((one) => JSON.stringify(sent(one))).sort()];
  return sent(value);
}

describe("the key of an item", () => {
  const wellFormed = text.filter((one) => !/\p{Surrogate}/u.test(one));
  const attacks = fc.constantFrom(
    ",",
    "%",
    "%2C",
    "a,b",
    "a%2Cb",
    "%25",
    "",
    " ",
    "/",
    ".",
    "\r\n",
    "~2C",
    "1",
    "MQ==",
  );
  const part = fc.oneof(
    fc.oneof(wellFormed, attacks).map((one) => ({ S: one })),
    number.map(({ digits, scale }) => ({ N: printed(digits, scale) })),
    bytes.map(({ bytes: hex }) => ({ B: Buffer.from(hex, "hex").toString("base64") })),
  );

  test("comes back out of the text that ce-subject has of it, so that no two of one table have the same", () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 2 }), (parts) => {
        const names = parts.map((_, nth) => `k${nth}`);
        const keys: Item = Object.fromEntries(parts.map((one, nth) => [`k${nth}`, one]));
        const { subject } = keyOf(keys, names, "json");
        expect(subject).toMatch(/^[!#$&-~%]*$/);
        expect(subject.split(",").map(percentDecode)).toEqual(parts.map((one) => Object.values(one)[0]));
        expect(keyOf(keys, names, "dynamodb-json").subject).toBe(subject);
      }),
      { numRuns: 500 },
    );
  });
});
