// Column texts to JSON, one type after the other.

import { describe, expect, test } from "vitest";
import { JsonWriter } from "../../src/source/postgres/json-writer.ts";
import { valueType } from "../../src/source/postgres/values.ts";

function json(oid: number, text: string, base?: string): string {
  const writer = new JsonWriter();
  const source = Buffer.from(text);
  writer.reserve(source.length * 6 + 50);
  valueType(oid, base).write(writer, source, 0, source.length);
  return Buffer.from(writer.view(0)).toString("utf8");
}

const FLOAT8 = 701;
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;

describe("numbers", () => {
  test("of up to four bytes keep their digits", () => {
    expect(json(21, "-32768")).toBe("-32768");
    expect(json(23, "2147483647")).toBe("2147483647");
    expect(json(26, "4294967295")).toBe("4294967295");
  });

  test("that a double cannot hold are strings", () => {
    expect(json(20, "9007199254740993")).toBe('"9007199254740993"');
    expect(json(1700, "0.10000000000000000001")).toBe('"0.10000000000000000001"');
    expect(json(1700, "NaN")).toBe('"NaN"');
  });

  test("with a floating point are numbers as far as JSON has them", () => {
    expect(json(FLOAT8, "1e-07")).toBe("1e-07");
    expect(json(FLOAT8, "-0.5")).toBe("-0.5");
    expect(json(FLOAT8, "NaN")).toBe('"NaN"');
    expect(json(FLOAT8, "Infinity")).toBe('"Infinity"');
    expect(json(FLOAT8, "-Infinity")).toBe('"-Infinity"');
  });
});

describe("times", () => {
  test("keep their microseconds, trimmed as Postgres prints them", () => {
    expect(json(TIMESTAMPTZ, "2024-02-29 18:29:59.123456+00")).toBe('"2024-02-29T18:29:59.123456Z"');
    expect(json(TIMESTAMPTZ, "2024-02-29 18:29:59.1+00")).toBe('"2024-02-29T18:29:59.1Z"');
    expect(json(TIMESTAMPTZ, "2024-02-29 18:29:59+00")).toBe('"2024-02-29T18:29:59Z"');
  });

  test("without a zone get none", () => {
    expect(json(TIMESTAMP, "2024-02-29 18:29:59.5")).toBe('"2024-02-29T18:29:59.5"');
  });

  test("without an end are words", () => {
    expect(json(TIMESTAMPTZ, "infinity")).toBe('"infinity"');
    expect(json(TIMESTAMP, "-infinity")).toBe('"-infinity"');
  });

  test("before Christ and after 9999 have ISO 8601's expanded years", () => {
    expect(json(TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC")).toBe('"-000043-03-15T12:00:00Z"');
    expect(json(TIMESTAMP, "0001-01-01 00:00:00 BC")).toBe('"0000-01-01T00:00:00"');
    expect(json(TIMESTAMPTZ, "294276-12-31 23:59:59.999999+00")).toBe('"+294276-12-31T23:59:59.999999Z"');
  });

  test("that are not printed in UTC cannot be told", () => {
    expect(() => json(TIMESTAMPTZ, "2024-02-29 18:29:59+01")).toThrow(
      expect.objectContaining({ code: "VALUE_MALFORMED" }),
    );
  });
});

describe("everything else", () => {
  test("booleans are booleans", () => {
    expect([json(16, "t"), json(16, "f")]).toEqual(["true", "false"]);
  });

  test("json and jsonb are spliced in as they are", () => {
    expect(json(114, '{"a": 1e400,\n "a": 12345678901234567890}')).toBe('{"a": 1e400,\n "a": 12345678901234567890}');
    expect(json(3802, "[1, 2]")).toBe("[1, 2]");
  });

  test("texts keep padding, and are escaped as JSON wants it", () => {
    expect(json(1042, "ab  ")).toBe('"ab  "');
    expect(json(25, 'a"\\\n\u0001\u001fé☃𝄞')).toBe(JSON.stringify('a"\\\n\u0001\u001fé☃𝄞'));
  });

  test("unknown types stay text", () => {
    expect(json(600, "(1,2)")).toBe('"(1,2)"');
    expect(json(99_999, "constructor", "constructor")).toBe('"constructor"');
  });

  test("a domain is written as its base type", () => {
    expect(json(99_999, "12", "int4")).toBe("12");
    expect(json(99_999, "12", "citext")).toBe('"12"');
  });
});
