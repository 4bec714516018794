// What patterns may know of columns, from the schemas of their values.

import { expect, test } from "vitest";
import { DECIMAL_NUMBER, type JsonSchema, WHOLE_NUMBER } from "../../../src/event/collection-schema.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { columnKind } from "../../../src/schema/column-kinds.ts";
import { typeFiles } from "../../../src/schema/type-files.ts";

const STRING = { type: "string" };
const NULL = { type: "null" };
const bounds = { type: "object", properties: { lower: DECIMAL_NUMBER, bounds: STRING }, additionalProperties: false };
const empty = { type: "object", properties: { empty: { const: true } }, additionalProperties: false };

test.each<readonly [string, JsonSchema, unknown]>([
  ["a number", { type: "integer" }, "number"],
  ["a number as a text", WHOLE_NUMBER, "number"],
  ["a decimal, or null", { anyOf: [DECIMAL_NUMBER, NULL] }, "number"],
  ["a number that may be a text", { anyOf: [{ type: "integer" }, WHOLE_NUMBER] }, "number"],
  ["a floating point number", { anyOf: [{ type: "number" }, { enum: ["NaN", "Infinity", "-Infinity"] }] }, "number"],
  ["a text", STRING, "text"],
  [
    "texts of several forms",
    { anyOf: [{ type: "string", format: "date-time" }, { enum: ["infinity"] }, NULL] },
    "text",
  ],
  ["a text or null", { type: ["string", "null"] }, "text"],
  ["a text that may be a number", { anyOf: [STRING, DECIMAL_NUMBER] }, "json"],
  ["a boolean", { anyOf: [{ type: "boolean" }, NULL] }, "boolean"],
  ["labels", { anyOf: [{ type: "string", enum: ["a", "b"] }, NULL] }, ["a", "b"]],
  ["an array", { type: "array", items: { anyOf: [DECIMAL_NUMBER, NULL, { type: "array" }] } }, "number"],
  ["an array of anything", { type: "array", items: {} }, "json"],
  ["anything", {}, "json"],
  ["anything or null", { anyOf: [{}, NULL] }, "json"],
  ["only null", NULL, "json"],
  ["a number or a text", { anyOf: [{ type: "integer" }, STRING] }, "json"],
  ["an object of a fixed form", bounds, { lower: "number", bounds: "text" }],
  ["one of two", { anyOf: [bounds, empty, NULL] }, { lower: "number", bounds: "text", empty: "json" }],
  ["an object of any form", { type: "object", additionalProperties: STRING }, "json"],
])("of %s", (_what, schema, kind) => {
  expect(columnKind(schema)).toEqual(kind);
});

test("the text of a number is one by its pattern alone, and holds what databases write", () => {
  for (const text of ["0", "-1.50", "1E+3", "NaN", "-Infinity"])
    expect(text).toMatch(new RegExp(DECIMAL_NUMBER.pattern as string));
  for (const text of ["", "1.", "x", "1 "]) expect(text).not.toMatch(new RegExp(DECIMAL_NUMBER.pattern as string));
});

test("types hand them to the collection, and a column called __proto__ is a column", () => {
  const column = (name: string, value: JsonSchema) => ({ name, number: 1, type: "x", nullable: true, value });
  const columns = [column("total", DECIMAL_NUMBER), column("__proto__", STRING), column("per", bounds)];
  const table = { id: "1", namespace: "public", collection: "orders", identity: "key", key: [], columns } as const;

  const text = typeFiles("shop" as SourceId, [table]).get("shop.ts") ?? "";

  expect(text).toContain(
    'columns: { total: "number", ["__proto__"]: "text", per: { lower: "number", bounds: "text" } },',
  );
});
