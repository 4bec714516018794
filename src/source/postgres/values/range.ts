// Ranges: `{"lower":…,"upper":…,"bounds":"[)"}`, null for a side without an end, `{"empty":true}`; multiranges: arrays of them.

import type { JsonWriter } from "../../json-writer.ts";
import { PART_BYTES, writeQuoted } from "./quoted-part.ts";
import { isWord, malformed, type ValueWriter } from "./value-type.ts";

const EMPTY_WORD = Buffer.from("empty");
const EMPTY = Buffer.from('{"empty":true}');
const LOWER = Buffer.from('{"lower":');
const UPPER = Buffer.from(',"upper":');
const BOUNDS = Buffer.from(',"bounds":"');
const END = Buffer.from('"}');
const NULL = Buffer.from("null");
const RANGE_BYTES = 2 * PART_BYTES + 64;

const QUOTE = 0x22;
const COMMA = 0x2c;
const isOpening = (byte: number | undefined): byte is number => byte === 0x5b || byte === 0x28;
const isClosing = (byte: number | undefined): byte is number => byte === 0x5d || byte === 0x29;

export function rangeOf(subtype: ValueWriter): ValueWriter {
  return (writer, source, from, to) => {
    if (writeRange(writer, source, from, to, subtype) !== to) throw malformed("a range");
  };
}

/** @param subtype of its ranges */
export function multirangeOf(subtype: ValueWriter): ValueWriter {
  return (writer, source, from, to) => {
    if (source[from] !== 0x7b || source[to - 1] !== 0x7d) throw malformed("a multirange");
    writer.extra(PART_BYTES);
    writer.byte(0x5b);
    let at = from + 1;
    while (at < to - 1) {
      at = writeRange(writer, source, at, to - 1, subtype);
      if (at === to - 1) break;
      if (source[at++] !== COMMA || at === to - 1) throw malformed("a multirange");
      writer.byte(COMMA);
    }
    writer.byte(0x5d);
  };
}

/** @returns where the text goes on behind the range */
function writeRange(writer: JsonWriter, source: Uint8Array, from: number, to: number, subtype: ValueWriter): number {
  writer.extra(RANGE_BYTES);
  const opening = source[from];
  if (isWord(source, from, Math.min(from + EMPTY_WORD.length, to), EMPTY_WORD)) {
    writer.literal(EMPTY);
    return from + EMPTY_WORD.length;
  }
  if (!isOpening(opening)) throw malformed("a range");
  writer.literal(LOWER);
  const middle = writeBound(writer, source, from + 1, to, subtype);
  if (middle >= to || source[middle] !== COMMA) throw malformed("a range");
  writer.literal(UPPER);
  const end = writeBound(writer, source, middle + 1, to, subtype);
  const closing = source[end];
  if (end >= to || !isClosing(closing)) throw malformed("a range");
  writer.literal(BOUNDS);
  writer.byte(opening);
  writer.byte(closing);
  writer.literal(END);
  return end + 1;
}

function writeBound(writer: JsonWriter, source: Uint8Array, from: number, to: number, subtype: ValueWriter): number {
  if (from < to && source[from] === QUOTE) return writeQuoted(writer, source, from, to, subtype);
  let end = from;
  while (end < to && source[end] !== COMMA && !isClosing(source[end])) end++;
  if (end === from) writer.literal(NULL);
  else subtype(writer, source, from, end);
  return end;
}
