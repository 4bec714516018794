// The rules of patterns by our own examples: one pattern, what it matches, what it does not.

import { describe, expect, test } from "vitest";
import { compilePattern } from "../../../../src/automation/pattern/compile-pattern.ts";

/** A rule, a pattern, events that it matches, events that it does not. */
type Case = readonly [string, unknown, readonly unknown[], readonly unknown[]];

const cases: readonly Case[] = [
  [
    "all fields must match, any item of a list",
    { op: ["updated", "created"], after: { status: ["paid"] } },
    [{ op: "created", after: { status: "paid", id: 1 } }],
    [{ op: "created", after: { status: "new" } }, { op: "updated" }],
  ],
  [
    "a path is its names joined by dots",
    { "after.status": ["paid"] },
    [{ after: { status: "paid" } }, { "after.status": "paid" }],
    [{ after: "paid" }],
  ],
  [
    "the same path again replaces what was said of it",
    { a: { b: [1] }, "a.b": [2] },
    [{ a: { b: 2 } }],
    [{ a: { b: 1 } }],
  ],
  [
    "null, the empty text and absence are three things",
    { note: [null] },
    [{ note: null }],
    [{ note: "" }, {}, { note: {} }, { note: [] }],
  ],
  ["the empty text is a value", { note: [""] }, [{ note: "" }], [{ note: null }, {}]],
  ["numbers are equal by value", { n: [300] }, [{ n: 3e2 }, { n: 300.0 }], [{ n: "300" }, { n: 301 }]],
  ["minus zero is zero", { n: [0] }, [{ n: -0 }], [{ n: false }, { n: null }]],
  ["bigints are numbers", { n: [12] }, [{ n: 12n }], [{ n: 13n }, { n: "12" }]],
  [
    "dates are their text",
    { at: [{ prefix: "2026-11" }] },
    [{ at: new Date("2026-11-29T00:00:00Z") }],
    [{ at: new Date(0) }, { at: new Date(Number.NaN) }],
  ],
  [
    "one element of an array is enough",
    { tags: ["x"] },
    [{ tags: ["y", "x"] }, { tags: [["x"]] }],
    [{ tags: [] }, { tags: ["xy"] }],
  ],
  ["an index is no name", { tags: { 0: ["x"] } }, [{ tags: { 0: "x" } }], [{ tags: ["x"] }]],
  ["length is no member", { tags: { length: [1] } }, [{ tags: { length: 1 } }], [{ tags: ["x"] }]],
  [
    "fields of one array come from one element",
    { lines: { sku: ["a"], qty: [2] } },
    [
      {
        lines: [
          { sku: "b", qty: 1 },
          { sku: "a", qty: 2 },
        ],
      },
    ],
    [
      {
        lines: [
          { sku: "a", qty: 1 },
          { sku: "b", qty: 2 },
        ],
      },
    ],
  ],
  [
    "other arrays are free",
    { lines: { sku: ["a"] }, notes: { by: ["me"] } },
    [{ lines: [{ sku: "b" }, { sku: "a" }], notes: [{ by: "me" }] }],
    [{ lines: [{ sku: "a" }], notes: [] }],
  ],
  ["a plain element binds nothing", { f: [1], "f.x": [2] }, [{ f: [1, { x: 2 }] }], [{ f: [1, { x: 3 }] }]],
  [
    "a nested array binds as an object does",
    { f: [1], "f.x": [2] },
    [{ f: [[1, { x: 2 }]] }],
    [{ f: [[1], [{ x: 2 }]] }],
  ],
  [
    "every level of arrays counts",
    { o: { l: { a: [1], b: [2] } } },
    [{ o: [{ l: [{ a: 1, b: 2 }] }] }],
    [{ o: [{ l: [{ a: 1 }] }, { l: [{ b: 2 }] }] }, { o: [{ l: [{ a: 1 }, { b: 2 }] }] }],
  ],
  [
    "absence is looked for where the fields before it were found",
    { r: { a: [1], b: [{ exists: false }] } },
    [{ r: [{ a: 1 }, { b: 2 }] }],
    [{ r: [{ a: 1, b: 2 }] }],
  ],
  [
    "absence before the others is looked for everywhere",
    { r: { b: [1], a: [{ exists: false }] } },
    [{ r: [{ b: 1 }] }],
    [{ r: [{ b: 1 }, { a: 2 }] }],
  ],
  [
    "exists is about values, not objects",
    { a: [{ exists: true }] },
    [{ a: null }, { a: "" }, { a: [null] }],
    [{ a: { b: 1 } }, { a: [] }, {}],
  ],
  [
    "not exists is its opposite",
    { a: [{ exists: false }] },
    [{ a: { b: 1 } }, { a: [] }, {}],
    [{ a: null }, { a: "" }, { a: [null] }],
  ],
  ["absent or a value", { a: [{ exists: false }, "x"] }, [{}, { a: "x" }], [{ a: "y" }, { a: null }]],
  [
    "a range",
    { n: [{ numeric: [">=", 0, "<", 10] }] },
    [{ n: 0 }, { n: 9.99 }, { n: [20, 5] }],
    [{ n: 10 }, { n: -1 }, { n: "5" }, { n: Number.POSITIVE_INFINITY }],
  ],
  [
    "anything but is true of every other value",
    { a: [{ "anything-but": "x" }] },
    [{ a: "y" }, { a: 3 }, { a: null }, { a: true }, { a: ["x", "y"] }],
    [{ a: "x" }, {}, { a: [] }, { a: {} }],
  ],
  ["anything but several", { a: [{ "anything-but": [1, 2] }] }, [{ a: 3 }, { a: "1" }], [{ a: 1 }, { a: 2 }]],
  [
    "anything but a beginning",
    { a: [{ "anything-but": { prefix: ["x", "y"] } }] },
    [{ a: "ax" }, { a: 5 }],
    [{ a: "xa" }, { a: "y" }],
  ],
  [
    "prefix and suffix are for texts",
    { a: [{ prefix: "3" }, { suffix: "3" }] },
    [{ a: "31" }, { a: "13" }],
    [{ a: 3 }, { a: "131" }],
  ],
  ["the empty prefix is every text's", { a: [{ prefix: "" }] }, [{ a: "" }, { a: "x" }], [{ a: 1 }, { a: null }]],
  [
    "case is ignored by the pattern's units",
    { a: [{ "equals-ignore-case": "stra\u00dfe" }] },
    [{ a: "STRASSE" }, { a: "Stra\u00dfe" }],
    [{ a: "strasse" }],
  ],
  [
    "the Kelvin sign is no capital k",
    { a: [{ "equals-ignore-case": "\u212a" }] },
    [{ a: "k" }, { a: "\u212a" }],
    [{ a: "K" }],
  ],
  ["a prefix without case", { a: [{ prefix: { "equals-ignore-case": "eu-" } }] }, [{ a: "EU-west" }], [{ a: "us" }]],
  [
    "stars are any run, whole text",
    { a: [{ wildcard: "*.p*f" }] },
    [{ a: "x.pdf" }, { a: ".pf" }, { a: "a\n.p\nf" }],
    [{ a: "x.pdfx" }, { a: "xpdf" }],
  ],
  [
    "what stands around a star does not overlap",
    { a: [{ wildcard: "ab*ba" }] },
    [{ a: "abba" }, { a: "ab-ba" }],
    [{ a: "aba" }],
  ],
  ["escaped stars are stars", { a: [{ wildcard: "\\**\\\\" }] }, [{ a: "*x\\" }, { a: "*\\" }], [{ a: "x\\" }]],
  [
    "an address however it is written",
    { ip: ["10.0.0.1", "::1"] },
    [{ ip: "010.0.0.1" }, { ip: "0:0:0:0:0:0:0:1" }],
    [{ ip: "10.0.0.2" }, { ip: "::2" }],
  ],
  ["not so as exactly", { ip: [{ exactly: "10.0.0.1" }] }, [{ ip: "10.0.0.1" }], [{ ip: "010.0.0.1" }]],
  [
    "a block of addresses",
    { ip: [{ cidr: "10.1.2.3/8" }] },
    [{ ip: "10.255.0.1" }],
    [{ ip: "11.0.0.1" }, { ip: "0a01:203::" }, { ip: 10 }, { ip: "10" }],
  ],
  ["a block of all IPv6", { ip: [{ cidr: "::/0" }] }, [{ ip: "2001:db8::1" }], [{ ip: "1.2.3.4" }]],
  [
    "one of several patterns",
    { op: ["created"], $or: [{ after: { n: [1] } }, { after: { m: [2] } }] },
    [
      { op: "created", after: { n: 1 } },
      { op: "created", after: { m: 2 } },
    ],
    [
      { op: "created", after: { n: 2 } },
      { op: "updated", after: { n: 1 } },
    ],
  ],
  [
    "alternatives inside a field",
    { after: { $or: [{ n: [1] }, { m: [2] }], o: [3] } },
    [{ after: { n: 1, o: 3 } }, { after: { m: 2, o: 3 } }],
    [{ after: { n: 1 } }, { after: { o: 3 } }],
  ],
  [
    "names of prototypes are names",
    { constructor: [1], __proto__x: [1] },
    [{ constructor: 1, __proto__x: 1 }],
    [{}, { __proto__x: 1 }],
  ],
];

describe("a pattern", () => {
  test.each(cases)("%s", (_rule, pattern, matching, others) => {
    const match = compilePattern(pattern);
    for (const event of matching) expect({ event, matches: match(event) }).toEqual({ event, matches: true });
    for (const event of others) expect({ event, matches: match(event) }).toEqual({ event, matches: false });
  });

  test("takes __proto__ and its like for what they are as names of members, in pattern and event", () => {
    const json = (text: string): unknown => JSON.parse(text);
    const own = compilePattern(json('{"__proto__": {"admin": [true]}, "constructor": {"name": ["Object"]}}'));

    expect(own(json('{"__proto__": {"admin": true}, "constructor": {"name": "Object"}}'))).toBe(true);
    expect(own(Object.create({ admin: true }))).toBe(false);
    expect(own({})).toBe(false);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    expect(compilePattern({ a: { toString: { name: ["toString"] } } })({ a: {} })).toBe(false);
    expect(compilePattern({ after: [{ exists: false }], hasOwnProperty: [1] })({ hasOwnProperty: 1 })).toBe(true);
  });

  test("sees own members alone, whatever an event inherits", () => {
    expect(compilePattern({ admin: [true] })(Object.create({ admin: true }))).toBe(false);
    expect(compilePattern({ a: { admin: [{ exists: false }] } })({ a: Object.create({ admin: true }) })).toBe(true);
  });

  test("of a path that is spelled in two ways chooses an element of each array, and keeps to both", () => {
    const match = compilePattern({ p: { q: { x: [1], y: [1], z: [1] } } });

    expect(match({ "p.q": [{ x: 1, z: 1 }], p: { q: [{ y: 1 }] } })).toBe(true);
    expect(match({ "p.q": [{ x: 1 }, { z: 1 }], p: { q: [{ y: 1 }] } })).toBe(false);
    expect(match({ "p.q.y": 1, "p.q": [{ x: 1, z: 1 }] })).toBe(true);
    expect(match({ "p.q.y": 1, "p.q": [{ x: 1 }, { z: 1 }] })).toBe(false);
    const without = compilePattern({ p: { q: { x: [1], y: [{ exists: false }], z: [1] } } });
    expect(without({ "p.q.y": 1, "p.q": [{ x: 1, z: 1 }] })).toBe(false);
    expect(without({ "p.q": [{ x: 1, z: 1 }, { y: 1 }] })).toBe(true);
  });

  test("keeps names that are empty apart from the top", () => {
    expect(compilePattern({ "": { x: [1] } })({ "": { x: 1 } })).toBe(true);
    expect(compilePattern({ x: [1] })({ "": { x: 1 } })).toBe(false);
  });
});
