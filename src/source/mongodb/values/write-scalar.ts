// The scalars that most documents are made of, written as plain JSON digit by digit: no text, no number beyond a double is made.

import type { JsonWriter } from "../../json-writer.ts";

const QUOTE = 0x22;
const DIGIT_0 = 0x30;
const MINUS = 0x2d;
const HEX = Buffer.from("0123456789abcdef");
const TWO_32 = 2 ** 32;
/** The high halves of int64s between them are of numbers that a double holds exactly, whatever the low half is. */
const MAX_SAFE_HIGH = 2 ** 21 - 1;
const DAY_MS = 86_400_000;
const YEAR_0 = -62_167_219_200_000;
const YEAR_10000 = 253_402_300_800_000;

/** @param value whole, and not beyond the safe ones */
export function writeInteger(writer: JsonWriter, value: number): void {
  writer.room(17);
  const { bytes } = writer;
  let rest = value;
  if (rest < 0) {
    bytes[writer.at++] = MINUS;
    rest = -rest;
  }
  let end = writer.at + 1;
  for (let power = 10; power <= rest; power *= 10) end++;
  writer.at = end;
  do {
    const tenth = Math.floor(rest / 10);
    bytes[--end] = DIGIT_0 + (rest - tenth * 10); // in this order: the sum may be beyond the safe ones
    rest = tenth;
  } while (rest > 0);
}

/** The int64 at `from` as a number; undefined where it may be beyond the safe ones. */
export function safeInt64(bytes: Buffer, from: number): number | undefined {
  const high = bytes.readInt32LE(from + 4);
  if (high < -MAX_SAFE_HIGH || high > MAX_SAFE_HIGH) return undefined;
  return high * TWO_32 + bytes.readUInt32LE(from);
}

/** 1: stands in a JSON string as it is, and is ASCII. */
const PLAIN = new Uint8Array(256).fill(1, 0x20, 0x80);
PLAIN[QUOTE] = 0;
PLAIN[0x5c] = 0;

/** Text as a JSON string, in one pass. @returns false where a byte of it needs more than being copied: nothing is written then */
export function writePlainText(writer: JsonWriter, source: Buffer, from: number, to: number): boolean {
  writer.room(to - from + 2);
  const { bytes } = writer;
  let { at } = writer;
  bytes[at++] = QUOTE;
  for (let index = from; index < to; index++) {
    const value = source[index] as number;
    if (PLAIN[value] === 0) return false;
    bytes[at++] = value;
  }
  bytes[at++] = QUOTE;
  writer.at = at;
  return true;
}

/** The bytes `[from, to)` as hexadecimal text in quotes. */
export function writeHexadecimal(writer: JsonWriter, source: Buffer, from: number, to: number): void {
  writer.room(2 * (to - from) + 2);
  const { bytes } = writer;
  let { at } = writer;
  bytes[at++] = QUOTE;
  for (let index = from; index < to; index++) {
    const value = source[index] as number;
    bytes[at++] = HEX[value >>> 4] as number;
    bytes[at++] = HEX[value & 15] as number;
  }
  bytes[at++] = QUOTE;
  writer.at = at;
}

/** The day that was written last, and its text: dates come in crowds. */
let knownDay = Number.NaN;
const knownDate = Buffer.alloc(10);

/** The date at `from` as RFC 3339 text in quotes. @returns false where its year is not of four digits: nothing is written */
export function writeDate(writer: JsonWriter, source: Buffer, from: number): boolean {
  const ms = source.readInt32LE(from + 4) * TWO_32 + source.readUInt32LE(from);
  if (ms < YEAR_0 || ms >= YEAR_10000) return false;
  const day = Math.floor(ms / DAY_MS);
  if (day !== knownDay) {
    knownDate.write(new Date(day * DAY_MS).toISOString(), "latin1");
    knownDay = day;
  }
  const rest = ms - day * DAY_MS;
  const seconds = Math.floor(rest / 1000);
  const minutes = Math.floor(seconds / 60);
  writer.room(26);
  writer.byte(QUOTE);
  writer.literal(knownDate);
  twoDigits(writer, 0x54, Math.floor(minutes / 60)); // T
  twoDigits(writer, 0x3a, minutes % 60);
  twoDigits(writer, 0x3a, seconds % 60);
  const thousandths = rest % 1000;
  twoDigits(writer, 0x2e, Math.floor(thousandths / 10));
  writer.byte(DIGIT_0 + (thousandths % 10));
  writer.byte(0x5a); // Z
  writer.byte(QUOTE);
  return true;
}

function twoDigits(writer: JsonWriter, before: number, value: number): void {
  writer.byte(before);
  writer.byte(DIGIT_0 + Math.floor(value / 10));
  writer.byte(DIGIT_0 + (value % 10));
}
