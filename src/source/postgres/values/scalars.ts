// Values that are not made of others: a column's text, as Postgres prints it, to JSON. What is not listed stays text.

import { bytea } from "./bytea.ts";
import { hstore } from "./hstore.ts";
import { date, timestamp, timestamptz } from "./times.ts";
import type { ValueType } from "./value-type.ts";
import { sparseVector, vector } from "./vector.ts";

const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");

const number: ValueType = { plain: true, write: (writer, source, from, to) => writer.copy(source, from, to) };
const quoted: ValueType = { plain: true, write: (writer, source, from, to) => writer.quoted(source, from, to) };
const json: ValueType = { plain: false, write: (writer, source, from, to) => writer.copy(source, from, to) };

/** As Postgres prints it. */
export const text: ValueType = {
  plain: true,
  write: (writer, source, from, to) => writer.string(source, from, to),
};

const bool: ValueType = {
  plain: false,
  write: (writer, source, from) => writer.literal(source[from] === 0x74 ? TRUE : FALSE),
};

/** NaN and the infinities are no JSON numbers: they are told by the letter they start with. */
const float: ValueType = {
  plain: false,
  write(writer, source, from, to) {
    const first = source[from] === 0x2d ? source[from + 1] : source[from];
    if (first === 0x4e || first === 0x49) writer.quoted(source, from, to);
    else writer.copy(source, from, to);
  },
};

const MAX_SAFE = Buffer.from(String(Number.MAX_SAFE_INTEGER));

/** A number as long as a double holds it exactly, else a string. */
export const safeInteger: ValueType = {
  plain: true,
  write(writer, source, from, to) {
    const digits = source[from] === 0x2d ? from + 1 : from;
    if (fits(source, digits, to)) writer.copy(source, from, to);
    else writer.quoted(source, from, to);
  },
};

function fits(source: Uint8Array, from: number, to: number): boolean {
  if (to - from !== MAX_SAFE.length) return to - from < MAX_SAFE.length;
  for (let nth = 0; nth < MAX_SAFE.length; nth++) {
    const difference = (source[from + nth] as number) - (MAX_SAFE[nth] as number);
    if (difference !== 0) return difference < 0;
  }
  return true;
}

/** By the type's name in pg_catalog. */
const byName: ReadonlyMap<string, ValueType> = new Map([
  ["int2", number],
  ["int4", number],
  ["oid", number],
  ["int8", quoted],
  ["numeric", quoted],
  ["uuid", quoted],
  ["float4", float],
  ["float8", float],
  ["bool", bool],
  ["json", json],
  ["jsonb", json],
  ["bytea", bytea],
  ["date", date],
  ["time", quoted],
  ["interval", quoted],
  ["timestamp", timestamp],
  ["timestamptz", timestamptz],
]);

/** Oids of built-in types are the same on every server. */
const builtIn: ReadonlyMap<number, string> = new Map([
  [16, "bool"],
  [17, "bytea"],
  [20, "int8"],
  [21, "int2"],
  [23, "int4"],
  [26, "oid"],
  [114, "json"],
  [700, "float4"],
  [701, "float8"],
  [1082, "date"],
  [1083, "time"],
  [1114, "timestamp"],
  [1184, "timestamptz"],
  [1186, "interval"],
  [1700, "numeric"],
  [2950, "uuid"],
  [3802, "jsonb"],
]);

/** Types of extensions, whatever their schema, by the function that prints them. */
const byOutput: ReadonlyMap<string, ValueType> = new Map([
  ["hstore_out", hstore],
  ["vector_out", vector],
  ["halfvec_out", vector],
  ["sparsevec_out", sparseVector],
]);

/** The name in pg_catalog of a built-in type that is not written as text. */
export function builtInName(oid: number): string | undefined {
  return builtIn.get(oid);
}

/** @param name in pg_catalog */
export function builtInType(name: string): ValueType {
  return byName.get(name) ?? text;
}

/** Undefined for a type that no extension we know prints. */
export function extensionType(output: string): ValueType | undefined {
  return byOutput.get(output);
}
