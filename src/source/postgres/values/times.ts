// Dates and timestamps as ISO 8601, to the microsecond.

import type { JsonWriter } from "../../json-writer.ts";
import { malformed, type ValueType } from "./value-type.ts";

export const date: ValueType = {
  plain: false,
  write(writer, source, from, to) {
    // 2024-02-29: all but the rare years.
    if (to - from === 10 && source[from + 4] === DASH) writer.quoted(source, from, to);
    else writeRare(writer, source, from, to, "");
  },
};

export const timestamp: ValueType = {
  plain: false,
  write: (writer, source, from, to) => time(writer, source, from, to, ""),
};

export const timestamptz: ValueType = {
  plain: false,
  write: (writer, source, from, to) => time(writer, source, from, to, "Z"),
};

const DASH = 0x2d;
/** The session's time zone is UTC, so a zone is always `+00`. */
const UTC = "+00";
const printed = /^(\d{4,7})-(\d\d-\d\d)(?: (\d\d:\d\d:\d\d(?:\.\d{1,6})?)(\+00)?)?( BC)?$/;

function time(writer: JsonWriter, source: Uint8Array, from: number, to: number, zone: "" | "Z"): void {
  const end = zone === "" ? to : to - UTC.length;
  // 2024-02-29 18:29:59.123456+00: all but the rare years are copied with two bytes changed.
  if (source[from + 4] === DASH && source[from + 10] === 0x20 && source[to - 1] !== 0x43 /* BC */) {
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
  writeRare(writer, source, from, to, zone);
}

function writeRare(writer: JsonWriter, source: Uint8Array, from: number, to: number, zone: "" | "Z"): void {
  const text = Buffer.from(source.subarray(from, to)).toString("latin1");
  writer.literal(Buffer.from(JSON.stringify(rareTime(text, zone))));
}

/** Infinity as it is; years before 1 and after 9999 as ISO 8601's expanded ones, 1 BC being the year 0. */
function rareTime(value: string, zone: string): string {
  if (value === "infinity" || value === "-infinity") return value;
  const [, year, day, clock, offset, era] = printed.exec(value) ?? [];
  if (year === undefined || (offset === undefined) !== (zone === "")) throw malformed("a time");
  const astronomical = era === undefined ? Number(year) : 1 - Number(year);
  const sign = astronomical < 0 ? "-" : astronomical > 9999 ? "+" : "";
  const digits = String(Math.abs(astronomical)).padStart(sign === "" ? 4 : 6, "0");
  return `${sign}${digits}-${day}${clock === undefined ? "" : `T${clock}`}${zone}`;
}
