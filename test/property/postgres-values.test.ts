// Values that are made of others: whatever Postgres may print comes back as it went in, and nothing else breaks the JSON.

import fc from "fast-check";
import { expect, test } from "vitest";
import { escapedBound, JsonWriter } from "../../src/source/json-writer.ts";
import type { CatalogType, TypeShape } from "../../src/source/postgres/client/catalog.ts";
import { valueType } from "../../src/source/postgres/values/compile.ts";

/** A type by its shape, a value, and its text as Postgres' output functions print it. */
interface Case {
  readonly shapes: readonly TypeShape[];
  readonly json: unknown;
  readonly printed: string;
}

const TEXT = 25;
const BOOL = 16;
const FIRST = 100_000;

const scalar: fc.Arbitrary<Case> = fc.oneof(
  fc
    .string({ unit: "binary", maxLength: 40 })
    .map((text) => text.replaceAll("\0", ""))
    .map((text) => ({ shapes: [{ kind: "domain", base: TEXT }], json: text, printed: text }) as const),
  fc
    .boolean()
    .map((yes) => ({ shapes: [{ kind: "domain", base: BOOL }], json: yes, printed: yes ? "t" : "f" }) as const),
);

/** array_out: quotes what is empty, looks like NULL, or has letters of its own. */
function arrayElement(text: string): string {
  if (text !== "" && !/^null$/i.test(text) && !/["\\{},\s\v]/.test(text)) return text;
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** record_out and range_out: quotes double. */
function part(text: string): string {
  return text !== "" && !/["\\(),[\]\s\v]/.test(text) ? text : `"${text.replaceAll(/["\\]/g, "$&$&")}"`;
}

/** Shapes of a part are numbered behind those of the whole. */
function shifted(shapes: readonly TypeShape[], by: number): TypeShape[] {
  const move = (oid: number): number => (oid >= FIRST ? oid + by : oid);
  return shapes.map((shape) => {
    if (shape.kind === "array") return { ...shape, element: move(shape.element) };
    if (shape.kind === "range") return { ...shape, subtype: move(shape.subtype) };
    if (shape.kind === "composite") {
      return { ...shape, attributes: shape.attributes.map(({ name, type }) => ({ name, type: move(type) })) };
    }
    return shape;
  });
}

const made = fc.letrec<{ value: Case; array: Case; row: Case; range: Case }>((tie) => ({
  value: fc.oneof({ depthSize: "small", withCrossShrink: true }, scalar, tie("array"), tie("row"), tie("range")),
  array: fc.tuple(tie("value"), fc.array(fc.boolean(), { maxLength: 5 })).map(([of, nulls]) => ({
    shapes: [{ kind: "array", element: FIRST + 1, delimiter: "," }, ...shifted(of.shapes, 1)],
    json: nulls.map((isNull) => (isNull ? null : of.json)),
    printed: `{${nulls.map((isNull) => (isNull ? "NULL" : arrayElement(of.printed))).join(",")}}`,
  })),
  row: fc.array(fc.option(tie("value")), { minLength: 1, maxLength: 3 }).map((parts) => {
    const shapes: TypeShape[] = [];
    const attributes = parts.map((value, nth) => {
      const type = FIRST + 1 + shapes.length;
      shapes.push(...shifted(value?.shapes ?? [{ kind: "domain", base: TEXT }], 1 + shapes.length));
      return { name: `a "${nth}"`, type };
    });
    return {
      shapes: [{ kind: "composite", attributes }, ...shapes],
      json: Object.fromEntries(parts.map((value, nth) => [`a "${nth}"`, value?.json ?? null])),
      printed: `(${parts.map((value) => (value === null ? "" : part(value.printed))).join(",")})`,
    };
  }),
  range: fc.tuple(tie("value"), fc.boolean(), fc.constantFrom("[]", "[)", "(]", "()")).map(([of, open, bounds]) => ({
    shapes: [{ kind: "range", subtype: FIRST + 1 }, ...shifted(of.shapes, 1)],
    json: { lower: of.json, upper: open ? null : of.json, bounds },
    printed: `${bounds[0]}${part(of.printed)},${open ? "" : part(of.printed)}${bounds[1]}`,
  })),
}));

/** @param room bytes that stay free in the arena behind what is reserved */
function written(writer: JsonWriter, shapes: readonly TypeShape[], printed: string, room: number): string {
  const source = Buffer.from(printed);
  const types = new Map<number, CatalogType>(
    shapes.map((shape, nth) => [FIRST + nth, { oid: FIRST + nth, namespace: "public", name: `t${nth}`, shape }]),
  );
  const bound = escapedBound(source, 0, source.length) + 12;
  writer.reserve(1);
  writer.at = Math.max(0, writer.bytes.length - bound - room);
  writer.reserve(bound);
  const start = writer.at;
  valueType({ type: FIRST, typeName: undefined }, types, undefined).write(writer, source, 0, source.length);
  return Buffer.from(writer.view(start)).toString();
}

test("arrays, rows and ranges in each other say what went in, wherever an arena ends", () => {
  const writer = new JsonWriter();
  fc.assert(
    fc.property(made.value, fc.nat(100), ({ shapes, json, printed }, room) => {
      expect(JSON.parse(written(writer, shapes, printed, room))).toEqual(json);
    }),
    { numRuns: 2_000 },
  );
});

test("a text that is no value of its type is JSON all the same", () => {
  const writer = new JsonWriter();
  const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}()[],;"\\ NULLtf1:=/e'.split(""))), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(made.value, changes, ({ shapes, printed }, hits) => {
      const letters = [...printed];
      for (const [where, letter] of hits) letters[where % Math.max(1, letters.length)] = letter;

      expect(() =>
        JSON.parse(
          written(
            writer,
            [{ kind: "composite", attributes: [{ name: "a", type: FIRST + 1 }] }, ...shifted(shapes, 1)],
            `(${part(letters.join(""))})`,
            0,
          ),
        ),
      ).not.toThrow();
    }),
    { numRuns: 2_000 },
  );
});

test("values that grow more than their bytes tell get room at an arena's end", () => {
  const array: TypeShape = { kind: "array", element: FIRST + 1, delimiter: "," };
  const attributes = [{ name: "a long name of an attribute".repeat(3), type: TEXT }];
  const range: TypeShape = { kind: "range", subtype: TEXT };
  const scalarOf = (output: string): TypeShape => ({ kind: "scalar", output });
  const repeat = (text: string): string => Array.from({ length: 2_000 }, () => text).join(",");
  for (const [shapes, printed] of [
    [[array, { kind: "domain", base: BOOL }], `{${repeat("f")}}`],
    [[array, { kind: "domain", base: TEXT }], `{${repeat("x")}}`],
    [[array, { kind: "composite", attributes }], `{${repeat('"()"')}}`],
    [[array, range], `{${repeat('"(,)"')}}`],
    [[{ kind: "multirange", range: FIRST + 1 }, range], `{${repeat("(,)")}}`],
    [[array, scalarOf("hstore_out")], `{${repeat('""')}}`],
    [[scalarOf("sparsevec_out")], `{${repeat("1:2")}}/9`],
  ] as const) {
    expect(() => JSON.parse(written(new JsonWriter(), shapes, printed, 0))).not.toThrow();
  }
});
