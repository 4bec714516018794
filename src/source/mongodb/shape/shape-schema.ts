// What values of a shape are in events, as JSON Schema: the counterpart of what writes them.

import { DECIMAL_NUMBER, type JsonSchema, WHOLE_NUMBER as WHOLE } from "../../../event/collection-schema.ts";
import type { Encoding } from "../values/bson-json.ts";
import { type BsonName, bsonNames, isAnything, type ObjectShape, type Shape } from "./shape.ts";

export interface SchemaOptions {
  readonly encoding: Encoding;
  /** Whether documents may have members beside those that were seen. */
  readonly open: boolean;
}

const STRING: JsonSchema = { type: "string" };
const INTEGER: JsonSchema = { type: "integer" };
const OID: JsonSchema = { type: "string", pattern: "^[0-9a-f]{24}$" };
const NOT_FINITE: JsonSchema = { enum: ["NaN", "Infinity", "-Infinity"] };

/** Both encodings write these the same. */
const always: Partial<Readonly<Record<BsonName, JsonSchema>>> = {
  string: STRING,
  bool: { type: "boolean" },
  null: { type: "null" },
  undefined: whole({ $undefined: { const: true } }),
  regex: whole({ $regularExpression: whole({ pattern: STRING, options: STRING }) }),
  dbPointer: whole({ $dbPointer: whole({ $ref: STRING, $id: whole({ $oid: OID }) }) }),
  javascript: whole({ $code: STRING }),
  javascriptWithScope: whole({ $code: STRING, $scope: { type: "object" } }),
  symbol: whole({ $symbol: STRING }),
  minKey: whole({ $minKey: { const: 1 } }),
  maxKey: whole({ $maxKey: { const: 1 } }),
};

/** All of these may be texts: which of them it is, the JSON does not say. */
const plain: Partial<Readonly<Record<BsonName, readonly JsonSchema[]>>> = {
  int: [INTEGER],
  long: [INTEGER, WHOLE],
  double: [{ type: "number" }, NOT_FINITE],
  decimal: [DECIMAL_NUMBER],
  objectId: [OID],
  date: [STRING],
  binData: [STRING],
  timestamp: [whole({ t: INTEGER, i: INTEGER })],
};

const typed: Partial<Readonly<Record<BsonName, JsonSchema>>> = {
  int: whole({ $numberInt: WHOLE }),
  long: whole({ $numberLong: WHOLE }),
  double: whole({ $numberDouble: STRING }),
  decimal: whole({ $numberDecimal: STRING }),
  objectId: whole({ $oid: OID }),
  date: whole({ $date: whole({ $numberLong: WHOLE }) }),
  binData: whole({ $binary: whole({ base64: STRING, subType: STRING }) }),
  timestamp: whole({ $timestamp: whole({ t: INTEGER, i: INTEGER }) }),
};

/** The types of a shape, for a person. */
export function typeNames(shape: Shape): string {
  return isAnything(shape) || shape.types.size === 0 ? "any" : namesOf(shape).join(" | ");
}

/** @returns `{}` of what may be anything, and of what nothing is known */
export function shapeSchema(shape: Shape, options: SchemaOptions): JsonSchema {
  if (shape.types.size === 0 || isAnything(shape)) return {};
  const parts = unique(namesOf(shape).flatMap((type) => typeSchemas(type, shape, options)));
  const isText = ({ type, pattern }: JsonSchema): boolean => type === "string" && pattern === undefined;
  const isTextToo = (part: JsonSchema): boolean => part.type === "string" || isListOfTexts(part);
  const hasText = parts.some(isText);
  const kept = parts.filter((part) => !hasText || isText(part) || !isTextToo(part));
  return kept.length > 1 ? { anyOf: kept } : (kept[0] ?? {});
}

function typeSchemas(type: BsonName, shape: Shape, options: SchemaOptions): readonly JsonSchema[] {
  if (type === "object") return [shape.object === undefined ? { type } : objectSchema(shape.object, options)];
  if (type === "array") {
    return [{ type, items: shape.items === undefined ? {} : shapeSchema(shape.items, options) }];
  }
  const literals = literalsOf(type, shape, options);
  if (literals !== undefined) return literals.length === 0 ? [] : [{ enum: literals }];
  const schema = always[type] ?? (options.encoding === "ejson" ? typed[type] : undefined);
  return schema === undefined ? (plain[type] ?? []) : [schema];
}

/** Undefined: any. */
function literalsOf(
  type: BsonName,
  { literals }: Shape,
  { encoding }: Pick<SchemaOptions, "encoding">,
): readonly unknown[] | undefined {
  if (type === "string") return literals.string && [...literals.string];
  if (type === "bool") return literals.bool && [...literals.bool];
  if (encoding === "ejson" || literals.number === undefined) return undefined;
  if (type === "double") return [...literals.number];
  return type === "int" || type === "long" ? [...literals.number].filter(Number.isInteger) : undefined;
}

function objectSchema({ members, rest }: ObjectShape, options: SchemaOptions): JsonSchema {
  const others = rest === undefined ? options.open : shapeSchema(rest, options);
  const isOpen = others === true || (typeof others === "object" && Object.keys(others).length === 0);
  if (members.size === 0) return { type: "object", ...(isOpen ? {} : { additionalProperties: others }) };
  return {
    type: "object",
    properties: Object.fromEntries([...members].map(([name, { shape }]) => [name, shapeSchema(shape, options)])),
    required: [...members].filter(([, { required }]) => required).map(([name]) => name),
    ...(isOpen ? {} : { additionalProperties: others }),
  };
}

/** An object with all of these and no other members. */
function whole(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** In one order, whichever was seen first. */
function namesOf({ types }: Shape): readonly BsonName[] {
  return (Object.keys(bsonNames) as readonly BsonName[]).filter((name) => types.has(name));
}

function isListOfTexts({ enum: list }: JsonSchema): boolean {
  return Array.isArray(list) && list.every((value) => typeof value === "string");
}

function unique(schemas: readonly JsonSchema[]): readonly JsonSchema[] {
  return [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()];
}
