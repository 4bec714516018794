// Parts of a value that Postgres puts in quotes: found and freed of their escapes, then written as what they are.

import type { JsonWriter } from "../../json-writer.ts";
import { malformed, type ValueWriter } from "./value-type.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What may come beside the text of a part: quotes, commas, `false` for `f`, the sign of an expanded year. */
export const PART_BYTES = 16;

/** Parts without their escapes, one behind the other, as deep as values are nested. Kept between values. */
let scratch: Uint8Array = new Uint8Array(64 * 1024);
let used = 0;
/** A larger one serves a single value. */
const KEPT_BYTES = 4 * 1024 * 1024;

/**
 * Writes the part whose opening quote stands at `from`. Arrays escape by backslash, rows and ranges by doubling; neither
 * ever prints what the other would take for an escape.
 * @returns where the text goes on behind the closing quote
 */
export function writeQuoted(
  writer: JsonWriter,
  source: Uint8Array,
  from: number,
  to: number,
  write: ValueWriter,
): number {
  let escapes = 0;
  let at = from + 1;
  for (; ; at++) {
    if (at >= to) throw malformed("a quoted part");
    const byte = source[at];
    if (byte === BACKSLASH || (byte === QUOTE && at + 1 < to && source[at + 1] === QUOTE)) {
      escapes++;
      at++;
    } else if (byte === QUOTE) {
      break;
    }
  }
  if (escapes === 0) {
    write(writer, source, from + 1, at);
    return at + 1;
  }
  const start = used;
  const length = at - from - 1 - escapes;
  const target = room(start + length);
  let out = start;
  for (let index = from + 1; index < at; index++) {
    const byte = source[index] as number;
    if (byte === BACKSLASH || byte === QUOTE) index++;
    target[out++] = source[index] as number;
  }
  used = out;
  try {
    write(writer, target, start, out);
  } finally {
    used = start;
    if (start === 0 && scratch.length > KEPT_BYTES) scratch = new Uint8Array(64 * 1024);
  }
  return at + 1;
}

/** Whoever still reads the old one keeps it. */
function room(size: number): Uint8Array {
  if (size > scratch.length) scratch = new Uint8Array(Math.max(size, 2 * scratch.length));
  return scratch;
}
