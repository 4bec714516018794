// The extension pgvector: arrays of numbers, and for sparse ones their elements by number, counted from 1 as it prints them.

import { numberEnd } from "./number-end.ts";
import { PART_BYTES } from "./quoted-part.ts";
import { malformed, type ValueType } from "./value-type.ts";

const DIMENSIONS = Buffer.from('{"dim":');
const VALUES = Buffer.from(',"values":{');
const SLASH = 0x2f;
const COLON = 0x3a;
const COMMA = 0x2c;

/** `[1,2.5,1e-05]` is JSON already. */
export const vector: ValueType = {
  plain: false,
  write(writer, source, from, to) {
    if (source[from] !== 0x5b || source[to - 1] !== 0x5d) throw malformed("a vector");
    let at = from;
    do {
      at = after(source, at + 1, to - 1);
    } while (at < to - 1 && source[at] === COMMA);
    if (at !== to - 1) throw malformed("a vector");
    writer.copy(source, from, to);
  },
};

/** `{1:0.5,7:2}/8` */
export const sparseVector: ValueType = {
  plain: false,
  write(writer, source, from, to) {
    const slash = source.lastIndexOf(SLASH, to - 1);
    if (source[from] !== 0x7b || slash <= from || source[slash - 1] !== 0x7d) throw malformed("a vector");
    if (after(source, slash + 1, to) !== to) throw malformed("a vector");
    writer.extra(DIMENSIONS.length + VALUES.length + PART_BYTES);
    writer.literal(DIMENSIONS);
    writer.copy(source, slash + 1, to);
    writer.literal(VALUES);
    const end = slash - 1;
    let at = from + 1;
    while (at < end) {
      const colon = after(source, at, end);
      if (source[colon] !== COLON) throw malformed("a vector");
      const next = after(source, colon + 1, end);
      writer.extra(PART_BYTES);
      writer.quoted(source, at, colon);
      writer.copy(source, colon, next);
      if (next < end) {
        if (source[next] !== COMMA || next + 1 === end) throw malformed("a vector");
        writer.byte(COMMA);
      }
      at = next + 1;
    }
    writer.byte(0x7d);
    writer.byte(0x7d);
  },
};

function after(source: Uint8Array, from: number, to: number): number {
  const end = numberEnd(source, from, to);
  if (end === from) throw malformed("a vector");
  return end;
}
