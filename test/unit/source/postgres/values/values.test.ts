// How each type's text becomes JSON.

import { describe, expect, test } from "vitest";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import type { CatalogType, TypeShape } from "../../../../../src/source/postgres/client/catalog.ts";
import { type ValueFormat, valueType } from "../../../../../src/source/postgres/values/compile.ts";

interface Options {
  readonly base?: string;
  readonly types?: Readonly<Record<number, TypeShape>>;
  readonly format?: ValueFormat;
}

function json(oid: number, text: string, { base, types = {}, format }: Options = {}): string {
  const writer = new JsonWriter();
  const source = Buffer.from(text);
  writer.reserve(source.length * 6 + 50);
  const known = new Map<number, CatalogType>();
  for (const [number, shape] of Object.entries(types)) {
    known.set(Number(number), { oid: Number(number), namespace: "public", name: `type_${number}`, shape });
  }
  valueType({ type: oid, typeName: base }, known, format).write(writer, source, 0, source.length);
  return Buffer.from(writer.view(0)).toString("utf8");
}

const BOOL = 16;
const BYTEA = 17;
const INT8 = 20;
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;
const FLOAT8 = 701;
const DATE = 1082;
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;

const array = (element: number, delimiter = ","): Options => ({ types: { 1: { kind: "array", element, delimiter } } });
const range = (subtype: number): Options => ({
  types: { 1: { kind: "range", subtype }, 2: { kind: "multirange", range: 1 } },
});
const row = (...types: readonly number[]): TypeShape => ({
  kind: "composite",
  attributes: types.map((type, index) => ({ name: "abcdef"[index] ?? "", type })),
});

describe("numbers", () => {
  test("of up to four bytes keep their digits", () => {
    expect(json(21, "-32768")).toBe("-32768");
    expect(json(INT4, "2147483647")).toBe("2147483647");
    expect(json(26, "4294967295")).toBe("4294967295");
  });

  test("that a double cannot hold are strings", () => {
    expect(json(INT8, "9007199254740993")).toBe('"9007199254740993"');
    expect(json(1700, "0.10000000000000000001")).toBe('"0.10000000000000000001"');
    expect(json(1700, "NaN")).toBe('"NaN"');
  });

  test("with a floating point are numbers as far as JSON has them", () => {
    expect(json(FLOAT8, "1e-07")).toBe("1e-07");
    expect(json(FLOAT8, "-0.5")).toBe("-0.5");
    expect(json(FLOAT8, "-0")).toBe("-0");
    expect(json(FLOAT8, "NaN")).toBe('"NaN"');
    expect(json(FLOAT8, "Infinity")).toBe('"Infinity"');
    expect(json(FLOAT8, "-Infinity")).toBe('"-Infinity"');
  });

  test("of eight bytes are numbers when asked for, as long as a double holds them", () => {
    const format = "number";
    expect(json(INT8, "-42", { format })).toBe("-42");
    expect(json(INT8, "9007199254740991", { format })).toBe("9007199254740991");
    expect(json(INT8, "-9007199254740991", { format })).toBe("-9007199254740991");
    expect(json(INT8, "9007199254740992", { format })).toBe('"9007199254740992"');
    expect(json(INT8, "-9223372036854775808", { format })).toBe('"-9223372036854775808"');
    expect(json(1, "{1,NULL}", { ...array(INT8), format })).toBe("[1,null]");
    expect(json(1700, "1.5", { format })).toBe('"1.5"');
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
    expect(json(DATE, "infinity")).toBe('"infinity"');
  });

  test("before Christ and after 9999 have ISO 8601's expanded years", () => {
    expect(json(TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC")).toBe('"-000043-03-15T12:00:00Z"');
    expect(json(TIMESTAMP, "0001-01-01 00:00:00 BC")).toBe('"0000-01-01T00:00:00"');
    expect(json(TIMESTAMPTZ, "294276-12-31 23:59:59.999999+00")).toBe('"+294276-12-31T23:59:59.999999Z"');
    expect(json(DATE, "0044-03-15 BC")).toBe('"-000043-03-15"');
    expect(json(DATE, "5874897-12-31")).toBe('"+5874897-12-31"');
    expect(json(DATE, "10000-01-01")).toBe('"+010000-01-01"');
  });

  test("that are not printed in UTC cannot be told", () => {
    expect(() => json(TIMESTAMPTZ, "2024-02-29 18:29:59+01")).toThrow(
      expect.objectContaining({ code: "VALUE_MALFORMED" }),
    );
  });
});

describe("bytes", () => {
  test("of any number are base64", () => {
    for (const text of ["", "a", "ab", "abc", "abcd", "\0\xff\xfe"]) {
      const bytes = Buffer.from(text, "latin1");
      expect(json(BYTEA, `\\x${bytes.toString("hex")}`)).toBe(JSON.stringify(bytes.toString("base64")));
    }
  });

  test("that are not printed in hex cannot be told", () => {
    for (const text of ["\\000abc", "\\x1", "\\x0g", "\\xAB"]) {
      expect(() => json(BYTEA, text)).toThrow(expect.objectContaining({ code: "VALUE_MALFORMED" }));
    }
  });
});

describe("arrays", () => {
  test("are nested, with nulls, whatever their bounds", () => {
    expect(json(1, "{}", array(INT4))).toBe("[]");
    expect(json(1, "{1,NULL,-3}", array(INT4))).toBe("[1,null,-3]");
    expect(json(1, "{{{1,2}},{{3,NULL}}}", array(INT4))).toBe("[[[1,2]],[[3,null]]]");
    expect(json(1, "[-1:1]={1,2,3}", array(INT4))).toBe("[1,2,3]");
    expect(json(1, "[0:0][2:3]={{1,2}}", array(INT4))).toBe("[[1,2]]");
  });

  test("of texts tell NULL, the word, and nothing at all apart", () => {
    const text = String.raw`{NULL,"NULL",null,"","a,b","{}","say \"hi\"","back\\slash"," ","[1:2]={3,4}","é☃"}`;
    const values = [null, "NULL", "null", "", "a,b", "{}", 'say "hi"', "back\\slash", " ", "[1:2]={3,4}", "é☃"];
    expect(json(1, text, array(TEXT))).toBe(JSON.stringify(values));
  });

  test("have their elements written as their types are", () => {
    expect(json(1, "{t,f,NULL}", array(BOOL))).toBe("[true,false,null]");
    expect(json(1, '{1,"9007199254740993"}', array(INT8))).toBe('["1","9007199254740993"]');
    expect(json(1, '{"2024-02-29 18:29:59+00",infinity}', array(TIMESTAMPTZ))).toBe(
      '["2024-02-29T18:29:59Z","infinity"]',
    );
    expect(json(1, String.raw`{"\\x6162","\\x"}`, array(BYTEA))).toBe('["YWI=",""]');
    expect(json(1, String.raw`{"{\"a\": 1e400, \"a\": \"\\\\\"}","[1, 2]"}`, array(JSON_TYPE))).toBe(
      String.raw`[{"a": 1e400, "a": "\\"},[1, 2]]`,
    );
    expect(json(1, "{1.5,NaN,-Infinity}", array(FLOAT8))).toBe('[1.5,"NaN","-Infinity"]');
  });

  test("of boxes are divided by semicolons", () => {
    expect(json(1, "{(1,1),(0,0);NULL}", array(603, ";"))).toBe('["(1,1),(0,0)",null]');
  });

  test("that make no sense are text", () => {
    for (const text of ["", "1", "{1", "{1,}", '{"a}', "{1}x", "{{1}", "[1:2]", "{{{{{{{1}}}}}}}"]) {
      expect(json(1, text, array(INT4))).toBe(JSON.stringify(text));
    }
  });
});

describe("ranges", () => {
  test("have bounds, and null where they have no end", () => {
    expect(json(1, "[1,5)", range(INT4))).toBe('{"lower":1,"upper":5,"bounds":"[)"}');
    expect(json(1, "(,5]", range(INT4))).toBe('{"lower":null,"upper":5,"bounds":"(]"}');
    expect(json(1, "(,)", range(INT4))).toBe('{"lower":null,"upper":null,"bounds":"()"}');
    expect(json(1, "empty", range(INT4))).toBe('{"empty":true}');
    expect(json(1, '["2024-01-01 00:00:00",infinity]', range(TIMESTAMP))).toBe(
      '{"lower":"2024-01-01T00:00:00","upper":"infinity","bounds":"[]"}',
    );
  });

  test("of texts keep quotes, commas and empty texts", () => {
    expect(json(1, String.raw`["a,""b\\",""]`, range(TEXT))).toBe(
      `{"lower":${JSON.stringify('a,"b\\')},"upper":"","bounds":"[]"}`,
    );
  });

  test("in a multirange are an array", () => {
    expect(json(2, "{}", range(INT4))).toBe("[]");
    expect(json(2, "{[1,3),[5,)}", range(INT4))).toBe(
      '[{"lower":1,"upper":3,"bounds":"[)"},{"lower":5,"upper":null,"bounds":"[)"}]',
    );
  });

  test("that make no sense are text", () => {
    for (const text of ["", "[1", "[1,", "[1,2", "1,2]", "[1,2]x", "[1,2,3]", '["1,2]', "emptyx", "ext"]) {
      expect(json(1, text, range(INT4))).toBe(JSON.stringify(text));
      expect(json(2, `{${text},}`, range(INT4))).toBe(JSON.stringify(`{${text},}`));
    }
  });
});

describe("rows in a column", () => {
  test("are objects, with null and the empty text apart", () => {
    const types = { 1: row(INT4, TEXT, TEXT, BOOL) };
    expect(json(1, '(1,,"",t)', { types })).toBe('{"a":1,"b":null,"c":"","d":true}');
    expect(json(1, String.raw`(,"a ""b"" \\ (c), d",x,f)`, { types })).toBe(
      JSON.stringify({ a: null, b: 'a "b" \\ (c), d', c: "x", d: false }),
    );
  });

  test("may have no attribute, or one that is null", () => {
    expect(json(1, "()", { types: { 1: row() } })).toBe("{}");
    expect(json(1, "()", { types: { 1: row(INT4) } })).toBe('{"a":null}');
  });

  test("hold each other, arrays and ranges", () => {
    const types: Options["types"] = {
      1: row(2, 3, 4),
      2: row(INT8, TEXT),
      3: { kind: "array", element: 2, delimiter: "," },
      4: { kind: "domain", base: 5 },
      5: { kind: "range", subtype: DATE },
    };
    const text = String.raw`("(1,""a """"b"""""")","{""(2,\\""\\\\\\""\\"")"",NULL}","[2024-01-01,)")`;
    expect(JSON.parse(json(1, text, { types }))).toEqual({
      a: { a: "1", b: 'a "b"' },
      b: [{ a: "2", b: '"' }, null],
      c: { lower: "2024-01-01", upper: null, bounds: "[)" },
    });
  });

  test("of a type that was changed since are text, never a wrong value", () => {
    expect(json(1, "(1,2)", { types: { 1: row(INT4) } })).toBe('"(1,2)"');
    expect(json(1, "(1)", { types: { 1: row(INT4, INT4) } })).toBe('"(1)"');
    for (const [type, text] of [
      [INT4, "x"],
      [INT4, "01"],
      [FLOAT8, "1."],
      [BOOL, "true"],
      [JSON_TYPE, "{"],
      [BYTEA, "abc"],
      [TIMESTAMP, "today"],
      [DATE, "today"],
    ] as const) {
      expect(json(1, `(${text})`, { types: { 1: row(type) } })).toBe(JSON.stringify(`(${text})`));
    }
    expect(json(1, '("a ""quote""")', { types: { 1: row(1700) } })).toBe(JSON.stringify('("a ""quote""")'));
    const inner: Options["types"] = { 1: row(2, INT4), 2: row(INT4) };
    expect(json(1, '("(1,2)",3)', { types: inner })).toBe('{"a":"(1,2)","b":3}');
  });

  test("nested without end are text beyond a depth, and take no stack", () => {
    const depth = 50_000;
    const types: Record<number, TypeShape> = { [depth]: row(INT4) };
    for (let nth = 1; nth < depth; nth++) types[nth] = row(nth + 1);

    expect(json(1, "()", { types })).toBe('{"a":null}');
  });
});

describe("extensions", () => {
  const printedBy = (output: string): Options => ({ types: { 1: { kind: "scalar", output } } });

  test("hstore is an object", () => {
    expect(json(1, "", printedBy("hstore_out"))).toBe("{}");
    expect(json(1, String.raw`"a"=>"1", "b\"\\"=>NULL, ""=>"NULL"`, printedBy("hstore_out"))).toBe(
      JSON.stringify({ a: "1", 'b"\\': null, "": "NULL" }),
    );
  });

  test("vectors are arrays of numbers", () => {
    expect(json(1, "[1,-2.5,1e-05]", printedBy("vector_out"))).toBe("[1,-2.5,1e-05]");
    expect(json(1, "[0]", printedBy("halfvec_out"))).toBe("[0]");
  });

  test("sparse vectors are their dimensions and what is not zero", () => {
    expect(json(1, "{1:0.5,7:-2}/8", printedBy("sparsevec_out"))).toBe('{"dim":8,"values":{"1":0.5,"7":-2}}');
    expect(json(1, "{}/3", printedBy("sparsevec_out"))).toBe('{"dim":3,"values":{}}');
  });

  test("that print something else under the same name are text", () => {
    for (const output of ["hstore_out", "vector_out", "sparsevec_out"]) {
      for (const text of ["x", "[]", "[1,]", "[1e]", "{1:}/2", "{1:2,}/2", "{}/", '"a"=>', '"a"=>x', '"a"=>NULL,']) {
        expect(json(1, text, printedBy(output))).toBe(JSON.stringify(text));
      }
    }
  });
});

describe("everything else", () => {
  test("booleans are booleans", () => {
    expect([json(BOOL, "t"), json(BOOL, "f")]).toEqual(["true", "false"]);
  });

  test("json and jsonb are spliced in as they are", () => {
    expect(json(114, '{"a": 1e400,\n "a": 12345678901234567890}')).toBe('{"a": 1e400,\n "a": 12345678901234567890}');
    expect(json(3802, "[1, 2]")).toBe("[1, 2]");
  });

  test("texts keep padding, and are escaped as JSON wants it", () => {
    expect(json(1042, "ab  ")).toBe('"ab  "');
    expect(json(TEXT, 'a"\\\n\u0001\u001fé☃𝄞')).toBe(JSON.stringify('a"\\\n\u0001\u001fé☃𝄞'));
  });

  test("unknown types stay text", () => {
    expect(json(600, "(1,2)")).toBe('"(1,2)"');
    expect(json(1, "constructor", { base: "constructor" })).toBe('"constructor"');
  });

  test("a domain is written as its base type", () => {
    expect(json(1, "12", { base: "int4" })).toBe("12");
    expect(json(1, "12", { base: "citext" })).toBe('"12"');
    expect(json(1, "12", { types: { 1: { kind: "domain", base: INT4 } } })).toBe("12");
    const deep: Options["types"] = {
      1: { kind: "domain", base: 2 },
      2: { kind: "domain", base: 3 },
      3: { kind: "array", element: INT4, delimiter: "," },
    };
    expect(json(1, "{1}", { types: deep })).toBe("[1]");
  });

  test("an array, a range and a domain of something that the catalog no longer has hold texts", () => {
    expect(json(1, "{1,2}", array(99))).toBe('["1","2"]');
    expect(json(1, "[1,2]", range(99))).toBe('{"lower":"1","upper":"2","bounds":"[]"}');
    expect(json(1, "x", { types: { 1: { kind: "domain", base: 99 } } })).toBe('"x"');
  });

  test("anything is text when asked for", () => {
    const format = "text";
    expect(json(114, '{"a": 1}', { format })).toBe('"{\\"a\\": 1}"');
    expect(json(1, "[2:3]={1,2}", { ...array(INT4), format })).toBe('"[2:3]={1,2}"');
    expect(json(1, "[1,5)", { ...range(INT4), format })).toBe('"[1,5)"');
    expect(json(INT4, "1", { format })).toBe('"1"');
  });
});
