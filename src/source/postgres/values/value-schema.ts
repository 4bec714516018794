// What a type's values are in events, as JSON Schema: the counterpart of what writes them.

import { DECIMAL_NUMBER, type JsonSchema, WHOLE_NUMBER } from "../../../event/collection-schema.ts";
import type { CatalogType } from "../client/catalog.ts";
import type { ValueFormat } from "./compile.ts";

export interface ValueSchemaOptions {
  readonly types: ReadonlyMap<number, CatalogType>;
  /** Whether the labels of enums are part of it. */
  readonly labels: boolean;
  readonly format: ValueFormat | undefined;
}

const STRING: JsonSchema = { type: "string" };
const INTEGER: JsonSchema = { type: "integer" };
/** A string where a double does not hold it. */
const SAFE_INTEGER: JsonSchema = { anyOf: [INTEGER, WHOLE_NUMBER] };
const INFINITIES: JsonSchema = { enum: ["infinity", "-infinity"] };
/** Before the year 0 and after 9999, which `date-time` does not know. */
const EXPANDED_YEAR: JsonSchema = { type: "string", pattern: "^[+-]\\d{6}-\\d\\d-\\d\\dT" };
/** ISO 8601; `duration` knows neither signs nor fractions nor infinity. */
const INTERVAL: JsonSchema = {
  type: "string",
  pattern: "^(P(-?\\d+Y)?(-?\\d+M)?(-?\\d+D)?(T(-?\\d+H)?(-?\\d+M)?(-?\\d+(\\.\\d+)?S)?)?|-?infinity)$",
};
const FLOAT: JsonSchema = { anyOf: [{ type: "number" }, { enum: ["NaN", "Infinity", "-Infinity"] }] };

/** By the function that prints the type; all others are the text that Postgres prints. */
const scalars: ReadonlyMap<string, JsonSchema> = new Map<string, JsonSchema>([
  ["int2out", INTEGER],
  ["int4out", INTEGER],
  ["oidout", INTEGER],
  ["int8out", WHOLE_NUMBER],
  ["numeric_out", DECIMAL_NUMBER],
  ["float4out", FLOAT],
  ["float8out", FLOAT],
  ["boolout", { type: "boolean" }],
  ["byteaout", { type: "string", contentEncoding: "base64" }],
  ["json_out", {}],
  ["jsonb_out", {}],
  ["uuid_out", { type: "string", format: "uuid" }],
  ["timestamptz_out", { anyOf: [{ type: "string", format: "date-time" }, EXPANDED_YEAR, INFINITIES] }],
  ["interval_out", INTERVAL],
  ["hstore_out", { type: "object", additionalProperties: { type: ["string", "null"] } }],
  ["vector_out", { type: "array", items: { type: "number" } }],
  ["halfvec_out", { type: "array", items: { type: "number" } }],
  [
    "sparsevec_out",
    objectSchema({ dim: INTEGER, values: { type: "object", additionalProperties: { type: "number" } } }),
  ],
]);

/** The schema of the type with this oid, null aside; of a type that the catalog no longer has it is anything. */
export function valueSchema(oid: number, options: ValueSchemaOptions): JsonSchema {
  if (options.format === "text") return STRING;
  const type = options.types.get(oid);
  if (type === undefined) return STRING;
  const { shape } = type;
  switch (shape.kind) {
    case "scalar":
      if (shape.output === "int8out" && options.format === "number") return SAFE_INTEGER;
      return scalars.get(shape.output) ?? STRING;
    case "enum":
      return options.labels ? { type: "string", enum: shape.labels } : STRING;
    case "domain":
      return { title: type.name, ...valueSchema(shape.base, options) };
    case "array":
      return arraySchema(valueSchema(shape.element, options));
    case "range":
      return rangeSchema(valueSchema(shape.subtype, options));
    case "multirange":
      return { type: "array", items: valueSchema(shape.range, options) };
    case "composite": {
      const properties = Object.fromEntries(
        shape.attributes.map(({ name, type: attribute }) => [name, nullable(valueSchema(attribute, options))]),
      );
      return objectSchema(properties);
    }
  }
}

/** The same, or null. */
export function nullable(schema: JsonSchema): JsonSchema {
  return anyOf(schema, { type: "null" });
}

/** One of them; anything, where one of them is. */
function anyOf(...schemas: readonly JsonSchema[]): JsonSchema {
  return schemas.find((schema) => Object.keys(schema).length === 0) ?? { anyOf: schemas };
}

/** An object with all of these and no other members. */
export function objectSchema(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** The schema of an array of any number of dimensions, for the database keeps none: an element may be an array again. */
function arraySchema(element: JsonSchema): JsonSchema {
  return { type: "array", items: anyOf(element, { type: "null" }, { type: "array" }) };
}

/** Null is no bound. */
function rangeSchema(bound: JsonSchema): JsonSchema {
  const bounds = { enum: ["[]", "[)", "(]", "()"] };
  return anyOf(
    objectSchema({ lower: nullable(bound), upper: nullable(bound), bounds }),
    objectSchema({ empty: { const: true } }),
  );
}
