// A collection's validator -> what its documents may be. Whatever of it is not understood is taken to allow anything.

import {
  anyOf,
  type BsonName,
  bsonNames,
  isAnything,
  join,
  type Literals,
  type Member,
  meet,
  NOTHING,
  type Shape,
} from "./shape.ts";

type Keywords = Readonly<Record<string, unknown>>;

const NUMBERS = ["int", "long", "double", "decimal"] as const;
/** What `bsonType` and JSON Schema's own `type` call otherwise. */
const aliases: Readonly<Record<string, readonly BsonName[]>> = { number: NUMBERS, boolean: ["bool"] };

/** Undefined where the validator has no `$jsonSchema`; what else it demands only leaves more out. */
export function validatorShape(validator: unknown): Shape | undefined {
  const schemas = jsonSchemas(validator);
  return schemas.length === 0 ? undefined : schemas.map(schemaShape).reduce(meet);
}

/** All of them hold. */
function jsonSchemas(validator: unknown): readonly unknown[] {
  if (!isObject(validator)) return [];
  const { $jsonSchema, $and } = validator;
  return [...($jsonSchema === undefined ? [] : [$jsonSchema]), ...listOf($and).flatMap(jsonSchemas)];
}

/** @param schema what `$jsonSchema` takes: its keywords all hold at once */
export function schemaShape(schema: unknown): Shape {
  if (!isObject(schema)) return anyOf();
  const { allOf, anyOf: some, oneOf, enum: values } = schema;
  const parts = [
    typesShape(schema.bsonType),
    typesShape(schema.type),
    schema.encrypt === undefined ? anyOf() : anyOf(["binData"]),
    objectShape(schema),
    { ...anyOf(), items: itemsShape(schema) },
    ...(Array.isArray(values) ? [enumShape(values)] : []),
    ...listOf(allOf).map(schemaShape),
    ...[some, oneOf].map(listOf).flatMap((list) => (list.length === 0 ? [] : [list.map(schemaShape).reduce(join)])),
  ];
  return parts.reduce(meet);
}

function typesShape(names: unknown): Shape {
  if (names === undefined) return anyOf();
  const types = (Array.isArray(names) ? names : [names]).map(typesOf);
  return types.includes(undefined) ? anyOf() : anyOf(types.flatMap((list) => list ?? []));
}

function typesOf(name: unknown): readonly BsonName[] | undefined {
  if (typeof name !== "string") return undefined;
  if (Object.hasOwn(aliases, name)) return aliases[name];
  return Object.hasOwn(bsonNames, name) ? [name as BsonName] : undefined;
}

/** What it says of values that are documents: it says nothing of others. */
function objectShape({ properties, required, additionalProperties, patternProperties }: Keywords): Shape {
  const own = isObject(properties) ? properties : {};
  const patterns = isObject(patternProperties) ? Object.values(patternProperties).map(schemaShape) : [];
  const others = additionalProperties === false ? NOTHING : schemaShape(additionalProperties);
  const rest = [others, ...patterns].reduce(join);
  const needed = new Set(listOf(required).map(String));
  const members = new Map<string, Member>();
  for (const name of new Set([...Object.keys(own), ...needed])) {
    const shape = Object.hasOwn(own, name) ? schemaShape(own[name]) : rest === NOTHING ? anyOf() : rest;
    members.set(name, { shape, required: needed.has(name) });
  }
  if (members.size === 0 && isAnything(rest)) return anyOf();
  return { ...anyOf(), object: { members, rest: rest === NOTHING ? undefined : rest } };
}

/** Undefined: any. */
function itemsShape({ items, additionalItems }: Keywords): Shape | undefined {
  if (items === undefined) return undefined;
  const others = additionalItems === false ? NOTHING : schemaShape(additionalItems);
  const shape = Array.isArray(items) ? [others, ...items.map(schemaShape)].reduce(join) : schemaShape(items);
  return isAnything(shape) ? undefined : shape;
}

/**
 * The server compares by value: 1 is equal to every number that is 1, whatever its type, and a symbol to the text that it is.
 * @param values as the driver reads them
 */
function enumShape(values: readonly unknown[]): Shape {
  const types = new Set(values.flatMap((value) => typesOfValue(value) ?? []));
  if (values.some((value) => typesOfValue(value) === undefined)) return anyOf();
  const numbers = values.filter((value) => isNumber(value));
  const literals: Literals = {
    string: new Set(values.filter((value) => typeof value === "string")),
    number: numbers.every(isExact) ? new Set(numbers) : undefined,
    bool: new Set(values.filter((value) => typeof value === "boolean")),
  };
  return { ...anyOf(types), literals };
}

/** By what the driver makes of the types that JavaScript lacks; undefined for what is none of them. */
function typesOfValue(value: unknown): readonly BsonName[] | undefined {
  if (value === null) return ["null"];
  if (value === undefined) return ["undefined"];
  if (typeof value === "string") return ["string", "symbol"];
  if (typeof value === "boolean") return ["bool"];
  if (isNumber(value)) return NUMBERS;
  if (value instanceof Date) return ["date"];
  if (value instanceof RegExp) return ["regex"];
  if (Array.isArray(value)) return ["array"];
  if (!isObject(value)) return undefined;
  const kind = value._bsontype;
  if (kind === undefined) return ["object"];
  return typeof kind === "string" && Object.hasOwn(driverTypes, kind) ? driverTypes[kind] : undefined;
}

const driverTypes: Readonly<Record<string, readonly BsonName[]>> = {
  ObjectId: ["objectId"],
  Binary: ["binData"],
  Timestamp: ["timestamp"],
  MinKey: ["minKey"],
  MaxKey: ["maxKey"],
};

/** Long and Decimal128 are numbers too, beyond those of JavaScript. */
function isNumber(value: unknown): value is number {
  if (typeof value === "number" || typeof value === "bigint") return true;
  const kind = isObject(value) ? value._bsontype : undefined;
  return typeof kind === "string" && ["Long", "Decimal128", "Int32", "Double"].includes(kind);
}

/** Whether every number that is equal to it is delivered as the same JSON number. */
function isExact(value: unknown): boolean {
  return typeof value === "number" && (Number.isSafeInteger(value) || (Number.isFinite(value) && value % 1 !== 0));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isObject(value: unknown): value is Keywords {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
