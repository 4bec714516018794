// Arrays: nested JSON arrays of elements; the bounds that Postgres prints when they do not begin at 1 are dropped.

import type { JsonWriter } from "../../json-writer.ts";
import { PART_BYTES, writeQuoted } from "./quoted-part.ts";
import { isWord, malformed, type ValueWriter } from "./value-type.ts";

/** As many dimensions as Postgres has. */
const MAX_DEPTH = 6;

const OPEN = 0x7b;
const CLOSE = 0x7d;
const QUOTE = 0x22;
const COMMA = 0x2c;
const NULL = Buffer.from("null");
const NULL_WORD = Buffer.from("NULL");

/** @param delimiter the element type's; Postgres has `;` for boxes */
export function arrayOf(element: ValueWriter, delimiter: string): ValueWriter {
  const between = delimiter.charCodeAt(0);
  return (writer, source, from, to) => {
    // [2:3]={…}: what has bounds and no sign behind them is refused as an array that begins where it ends.
    const start = source[from] === 0x5b ? source.indexOf(0x3d, from) + 1 || to : from;
    if (writeLevel(writer, source, start, to, element, between, 1) !== to) throw malformed("an array");
  };
}

/** @returns where the text goes on behind the closing brace */
function writeLevel(
  writer: JsonWriter,
  source: Uint8Array,
  from: number,
  to: number,
  element: ValueWriter,
  delimiter: number,
  depth: number,
): number {
  if (from >= to || source[from] !== OPEN || depth > MAX_DEPTH) throw malformed("an array");
  writer.extra(PART_BYTES);
  writer.byte(0x5b);
  let at = from + 1;
  while (source[at] !== CLOSE || at >= to) {
    if (at >= to) throw malformed("an array");
    writer.extra(PART_BYTES);
    const first = source[at];
    if (first === OPEN) at = writeLevel(writer, source, at, to, element, delimiter, depth + 1);
    else if (first === QUOTE) at = writeQuoted(writer, source, at, to, element);
    else at = writeBare(writer, source, at, to, element, delimiter);
    if (at >= to || (source[at] !== delimiter && source[at] !== CLOSE)) throw malformed("an array");
    if (source[at] === delimiter) {
      writer.byte(COMMA);
      if (source[++at] === CLOSE) throw malformed("an array");
    }
  }
  writer.byte(0x5d);
  return at + 1;
}

/** Without quotes nothing needs an escape, and NULL is null. */
function writeBare(
  writer: JsonWriter,
  source: Uint8Array,
  from: number,
  to: number,
  element: ValueWriter,
  delimiter: number,
): number {
  let end = from;
  while (end < to && source[end] !== delimiter && source[end] !== CLOSE) end++;
  if (isWord(source, from, end, NULL_WORD)) writer.literal(NULL);
  else element(writer, source, from, end);
  return end;
}
