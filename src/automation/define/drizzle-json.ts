// Values as drizzle's own select gives them, written as a source's events have them: the reverse of drizzle-value.ts.

import { isDeepStrictEqual } from "node:util";
import { ConfigError } from "../../errors.ts";
import { type DrizzleColumn, drizzleValue } from "./drizzle-value.ts";
import { jsonOf, timeText } from "./json-of.ts";

/** The types that events have as text, whatever JavaScript has them as. */
const TEXTS = /^(?:bigint|bigserial|int8|numeric|decimal)\b/;

/**
 * What a source writes of the value. It is held against what `drizzleValue` makes of that: what cannot be written is refused, and
 * never becomes another value. @throws ConfigError `TESTING_VALUE`
 */
export function drizzleJson(column: DrizzleColumn, value: unknown): unknown {
  if (value === null || value === undefined) return value;
  const json = written(column, value);
  let back: unknown;
  try {
    back = drizzleValue(column, json);
  } catch {
    throw unwritable(column);
  }
  if (!isDeepStrictEqual(back, value)) throw unwritable(column);
  return json;
}

function written(column: DrizzleColumn, value: unknown): unknown {
  const { baseColumn } = column;
  if (baseColumn !== undefined && Array.isArray(value))
    return value.map((one) => (one === null ? null : written(Array.isArray(one) ? column : baseColumn, one)));
  const type = column.getSQLType().toLowerCase();
  if (TEXTS.test(type)) return String(value);
  if (/^(?:json|jsonb)$/.test(type)) return JSON.parse(JSON.stringify(value));
  if (/^(?:timestamp|date\b)/.test(type)) return time(type, value);
  if (type === "point") return point(value);
  return jsonOf(value);
}

function time(type: string, value: unknown): unknown {
  const text = value instanceof Date ? timeText(value) : String(value).replace(" ", "T").replace(/\+00$/, "Z");
  if (type.startsWith("date")) return text.slice(0, 10);
  return type.includes("with time zone") ? text : text.replace(/Z$/, "");
}

function point(value: unknown): unknown {
  const [x, y] = Array.isArray(value) ? value : [(value as { x: unknown }).x, (value as { y: unknown }).y];
  return `(${x},${y})`;
}

function unwritable({ name, columnType }: DrizzleColumn): ConfigError {
  return new ConfigError("TESTING_VALUE", `the value given for the column ${name} is none of a ${columnType}`, {
    hint: "give what drizzle's own select gives; or, for a type that the kit cannot write, rows as events have them: fromDrizzle(source, table, { raw: true })",
  });
}
