// From the schema of a column's values to what patterns may know of it.

import { isNumberText, type JsonSchema } from "../event/collection-schema.ts";
import type { ColumnKind, Columns } from "../event/column-kind.ts";

/** Not finite numbers, as events have them. */
const NOT_FINITE: ReadonlySet<unknown> = new Set(["NaN", "Infinity", "-Infinity"]);

/** The kinds of a row's columns. @param properties the schemas of their values, by name, null included or not */
export function columnKinds(properties: Readonly<Record<string, JsonSchema>>): Columns {
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, columnKind(schema)]));
}

/** The same of a list of columns, as a version of a collection has them. */
export function kindsOfColumns(columns: readonly { readonly name: string; readonly value: JsonSchema }[]): Columns {
  return Object.fromEntries(columns.map(({ name, value }) => [name, columnKind(value)]));
}

/** Only what the schema says for certain: `json` where values may be of several kinds. */
export function columnKind(schema: JsonSchema): ColumnKind {
  const parts = partsOf(schema);
  if (parts.length === 0) return "json";
  if (parts.every((one) => isNumber(one) || isNotFinite(one)) && parts.some(isNumber)) return "number";
  const [only, second] = parts;
  if (only !== undefined && second === undefined && isLabels(only)) return only.enum;
  if (parts.every((one) => one.type === "string" || isLabels(one))) return parts.some(isNumber) ? "json" : "text";
  if (parts.every((one) => one.type === "boolean")) return "boolean";
  return parts.every(isFixed) ? membersOf(parts) : "json";
}

/** What a value may be, null and the arrays around it aside. */
function partsOf(schema: JsonSchema): readonly JsonSchema[] {
  if (Array.isArray(schema.anyOf)) {
    const parts = (schema.anyOf as readonly JsonSchema[]).filter((one) => !isBareArray(one)).map(partsOf);
    return parts.some((one, nth) => one.length === 0 && !isNull((schema.anyOf as readonly JsonSchema[])[nth]))
      ? [{}]
      : parts.flat();
  }
  if (Array.isArray(schema.type)) return partsOf({ anyOf: schema.type.map((type: string) => ({ type })) });
  if (isNull(schema)) return [];
  if (schema.type === "array" && schema.items !== undefined) return partsOf(schema.items as JsonSchema);
  return [schema];
}

function isNull(schema: JsonSchema | undefined): boolean {
  return schema?.type === "null";
}

/** An array may be nested however its column was declared. */
function isBareArray({ type, items }: JsonSchema): boolean {
  return type === "array" && items === undefined;
}

function isNumber(schema: JsonSchema): boolean {
  return schema.type === "number" || schema.type === "integer" || isNumberText(schema);
}

function isNotFinite(schema: JsonSchema): boolean {
  return isLabels(schema) && schema.enum.every((label) => NOT_FINITE.has(label));
}

function isLabels(schema: JsonSchema): schema is { readonly enum: readonly string[] } {
  return Array.isArray(schema.enum) && schema.enum.every((label) => typeof label === "string");
}

/** An object that has these members and no others. */
function isFixed({ type, properties, additionalProperties }: JsonSchema): boolean {
  return type === "object" && properties !== undefined && additionalProperties === false;
}

/** Of several objects the members of all; of one that differs, anything. */
function membersOf(parts: readonly JsonSchema[]): Columns {
  const all = new Map<string, ColumnKind>();
  for (const { properties } of parts) {
    for (const [name, kind] of Object.entries(columnKinds(properties as Readonly<Record<string, JsonSchema>>))) {
      const known = all.get(name);
      all.set(name, known === undefined || JSON.stringify(known) === JSON.stringify(kind) ? kind : "json");
    }
  }
  return Object.fromEntries(all);
}
