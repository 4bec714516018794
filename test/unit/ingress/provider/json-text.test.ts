// JSON as bytes: what is taken, and where its parts stand.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elementsOf, readJson, type Span, textAt, valueAt } from "../../../../src/ingress/provider/json-text.ts";

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

function read(text: string | Buffer): { readonly bytes: Buffer; readonly value: Span } {
  const bytes = Buffer.from(text);
  const value = readJson(bytes);
  if (typeof value === "string") throw new Error(`${value}: ${text}`);
  return { bytes, value };
}

function cut(bytes: Buffer, span: Span | undefined): string | undefined {
  return span && bytes.toString("utf8", span.from, span.to);
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("JSON text", () => {
  test.each([
    "null",
    " true ",
    "-0",
    "1E+2",
    '"\\ud800"',
    '"\u2028"',
    "[]",
    "[ ]",
    "{ }",
    '{"a":[{},[],"",0.5e-7]}',
    "\r\n\t[1 , 2]",
    "",
    " ",
    "nul",
    "nulll",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "+1",
    "NaN",
    "Infinity",
    "'a'",
    '"',
    '"\\x"',
    '"\\u12g4"',
    '"\\u12',
    '"a\nb"',
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,]",
    "[1 2]",
    "[1]]",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    "{,}",
    "{1:2}",
    '{"a" 1}',
    "[}",
    "{]",
    '{"a":1]',
    "/*x*/1",
    "1//x",
    "1 x",
    "\u00a01",
    "\ufeff1",
    '{"a":}',
    "[[]",
    "\u0000",
  ])("%j is taken as JSON.parse takes it", (text) => {
    expect(typeof readJson(Buffer.from(text)) !== "string").toBe(parses(text));
  });

  test("any text is taken as JSON.parse takes it, and any change of it", () => {
    const parts = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      "\\",
      "u",
      "1",
      "0",
      "-",
      ".",
      "e",
      "true",
      "null",
      " ",
      "é",
      '"a"',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (tokens) => {
        const text = tokens.join("");
        expect(typeof readJson(Buffer.from(text)) !== "string").toBe(parses(text));
      }),
      { seed, numRuns: 1500 },
    );
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.constantFrom("", ",", '"', "}", "]", "0", " ", "\\"),
        (json, place, change) => {
          const at = place % (json.length + 1);
          const text = json.slice(0, at) + change + json.slice(at + 1);
          expect(typeof readJson(Buffer.from(text)) !== "string").toBe(parses(text));
        },
      ),
      { seed, numRuns: 800 },
    );
  });

  test("bytes that are no UTF-8 are refused", () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xc3]]) {
      expect(readJson(Buffer.from([0x22, ...bytes, 0x22]))).toBe("malformed");
    }
    expect(readJson(Buffer.from('{"a":1}', "utf16le"))).toBe("malformed");
  });

  test("a thousand brackets are taken, one more is too deep, and a million end no stack", () => {
    const nested = (depth: number): Buffer => Buffer.from("[".repeat(depth) + "]".repeat(depth));
    expect(readJson(nested(1000))).toEqual({ from: 0, to: 2000 });
    expect(readJson(nested(1001))).toBe("deep");
    expect(readJson(nested(1_000_000))).toBe("deep");
    expect(readJson(Buffer.from('{"a":'.repeat(1_000_000)))).toBe("deep");
    expect(readJson(Buffer.from(`[${"[],".repeat(2000)}[]]`))).not.toBe("deep");
  });
});

describe("a part of JSON text", () => {
  test("an element has its own text, byte for byte", () => {
    const elements = ['{ "b":1.0, "a":[ 1E+2,"]" ]}', '"\\u00e9 , \\"]"', "12345678901234567890", "[]", "null"];
    const { bytes, value } = read(` [ ${elements.join(" ,\n")}\t] `);
    expect(elementsOf(bytes, value)?.map((span) => cut(bytes, span))).toEqual(elements);
    expect(elementsOf(bytes, { from: 3, to: 4 })).toBeUndefined();
  });

  test("of any array the elements are the texts that it was joined of", () => {
    const spaces = fc.constantFrom("", " ", "\n", "\t ");
    fc.assert(
      fc.property(fc.array(fc.json(), { maxLength: 6 }), spaces, (elements, space) => {
        const { bytes, value } = read(`[${space}${elements.join(`${space},${space}`)}${space}]`);
        // fc.json has no spaces around a value.
        expect(elementsOf(bytes, value)?.map((span) => cut(bytes, span))).toEqual(elements);
      }),
      { seed, numRuns: 500 },
    );
  });

  test("a pointer finds what it finds in the parsed value", () => {
    const escaped = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { maxKeys: 5 }), (object) => {
        const text = JSON.stringify(object);
        const { bytes, value } = read(text);
        for (const [name, member] of Object.entries(JSON.parse(text) as Record<string, unknown>)) {
          const found = cut(bytes, valueAt(bytes, value, `/${escaped(name)}`));
          expect(found && JSON.parse(found)).toEqual(member);
        }
      }),
      { seed, numRuns: 100 },
    );
  });

  test.each([
    ["/a", '{"a":"x"}', "x"],
    ["/a/b", '{"a":{"b":"x"}}', "x"],
    ["/a/1", '{"a":["w","x"]}', "x"],
    ["/a~1b/~0", '{"a/b":{"~":"x"}}', "x"],
    ["/", '{"":"x"}', "x"],
    ["/\u00e9", '{"\\u00e9":"x"}', "x"],
    ["/a", '{"a":"w","a":"x"}', "x"],
    ["/a", '{"a":"w","\\u0061":"x"}', "x"],
    ["/__proto__/a", '{"__proto__":{"a":"x"}}', "x"],
    ["/a", '{"__proto__":{"a":"x"}}', undefined],
    ["/constructor", "{}", undefined],
    ["/toString/name", "{}", undefined],
    ["/length", '["x"]', undefined],
    ["/01", '["w","x"]', undefined],
    ["/-1", '["w","x"]', undefined],
    ["/2", '["w","x"]', undefined],
    ["/a/b", '{"a":"b"}', undefined],
    ["/a", '{"a":""}', undefined],
    ["/a", '{"a":null}', undefined],
    ["/a", '{"a":true}', undefined],
    ["/a", '{"a":{}}', undefined],
    ["/a", '{"a":[]}', undefined],
    ["/a", '"a"', undefined],
    ["/a", '{"a":12345678901234567890}', "12345678901234567890"],
    ["/a", '{"a":-1.50e+3}', "-1.50e+3"],
    ["/a", '{"a":"\\ud83d\\ude00"}', "\u{1f600}"],
    ["/a", '{"a":"\\ud800"}', undefined],
    ["/a", '{"a":"\\ude00\\ud83d"}', undefined],
  ])("the text at %s of %s is %s", (pointer, text, expected) => {
    const { bytes, value } = read(text);
    expect(textAt(bytes, value, pointer)).toBe(expected);
  });
});
