// One writer a type: a column's text, as Postgres prints it, to JSON. Lossless; what is not listed stays text.

import { PoisonError } from "../../errors.ts";
import type { JsonWriter } from "./json-writer.ts";

/** Writes the value that stands at `[from, to)`. */
export type ValueWriter = (writer: JsonWriter, source: Uint8Array, from: number, to: number) => void;

export interface ValueType {
  readonly write: ValueWriter;
  /**
   * The JSON that is written is canonical already and says the same text as the column: such keys need no parsing
   * for their lane and their subject.
   */
  readonly plain: boolean;
}

const TRUE = Buffer.from("true");
const FALSE = Buffer.from("false");

const number: ValueType = { plain: true, write: (writer, source, from, to) => writer.copy(source, from, to) };
const quoted: ValueType = { plain: true, write: (writer, source, from, to) => writer.quoted(source, from, to) };
const text: ValueType = { plain: true, write: (writer, source, from, to) => writer.string(source, from, to) };
const json: ValueType = { plain: false, write: (writer, source, from, to) => writer.copy(source, from, to) };
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

const timestamp: ValueType = { plain: false, write: (writer, source, from, to) => time(writer, source, from, to, "") };
const timestamptz: ValueType = {
  plain: false,
  write: (writer, source, from, to) => time(writer, source, from, to, "Z"),
};

/** The session's time zone is UTC, so a zone is always `+00`. */
const UTC = "+00";
const printed = /^(\d{4,6})-(\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)(\+00)?( BC)?$/;

function time(writer: JsonWriter, source: Uint8Array, from: number, to: number, zone: "" | "Z"): void {
  const end = zone === "" ? to : to - UTC.length;
  // 2024-02-29 18:29:59.123456+00: all but the rare years are copied with two bytes changed.
  if (source[from + 4] === 0x2d && source[from + 10] === 0x20 && source[to - 1] !== 0x43 /* BC */) {
    if (zone === "" || (source[end] === 0x2b && source[end + 1] === 0x30 && source[end + 2] === 0x30)) {
      const start = writer.at;
      writer.byte(0x22);
      writer.copy(source, from, end);
      writer.bytes[start + 11] = 0x54; // T
      if (zone !== "") writer.byte(0x5a); // Z
      writer.byte(0x22);
      return;
    }
  }
  writer.literal(
    Buffer.from(JSON.stringify(rareTime(Buffer.from(source.subarray(from, to)).toString("latin1"), zone))),
  );
}

/** Infinity as it is; years before 1 and after 9999 as ISO 8601's expanded ones, 1 BC being the year 0. */
function rareTime(value: string, zone: string): string {
  if (value === "infinity" || value === "-infinity") return value;
  const [, year, day, clock, offset, era] = printed.exec(value) ?? [];
  if (year === undefined || (offset === undefined) !== (zone === "")) {
    throw new PoisonError("VALUE_MALFORMED", "a timestamp is not printed as the session asked for");
  }
  const astronomical = era === undefined ? Number(year) : 1 - Number(year);
  const sign = astronomical < 0 ? "-" : astronomical > 9999 ? "+" : "";
  const digits = String(Math.abs(astronomical)).padStart(sign === "" ? 4 : 6, "0");
  return `${sign}${digits}-${day}T${clock}${zone}`;
}

/** By the type's name in pg_catalog; a domain comes with the name of its base type. */
const byName: Readonly<Record<string, ValueType>> = {
  int2: number,
  int4: number,
  oid: number,
  int8: quoted,
  numeric: quoted,
  uuid: quoted,
  float4: float,
  float8: float,
  bool,
  json,
  jsonb: json,
  timestamp,
  timestamptz,
};

const builtIn: ReadonlyMap<number, string> = new Map([
  [16, "bool"],
  [20, "int8"],
  [21, "int2"],
  [23, "int4"],
  [26, "oid"],
  [114, "json"],
  [700, "float4"],
  [701, "float8"],
  [1114, "timestamp"],
  [1184, "timestamptz"],
  [1700, "numeric"],
  [2950, "uuid"],
  [3802, "jsonb"],
]);

/**
 * How values of a type are written.
 * @param domainBase what the log said about the type's oid: the name of a domain's base type in pg_catalog
 */
export function valueType(oid: number, domainBase: string | undefined): ValueType {
  const name = builtIn.get(oid) ?? domainBase;
  return (name === undefined || !Object.hasOwn(byName, name) ? undefined : byName[name]) ?? text;
}
