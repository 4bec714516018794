// Bytes: Postgres' hex to base64.

import { malformed, type ValueType } from "./value-type.ts";

const ALPHABET = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const PADDING = 0x3d;
const QUOTE = 0x22;
const NO_DIGIT = 0x80;

const DIGIT: Uint8Array = new Uint8Array(256).fill(NO_DIGIT);
for (const [value, letter] of [..."0123456789abcdef"].entries()) DIGIT[letter.charCodeAt(0)] = value;

export const bytea: ValueType = {
  plain: false,
  write(writer, source, from, to) {
    if (source[from] !== 0x5c || source[from + 1] !== 0x78 || (to - from) % 2 !== 0) throw malformed("bytea");
    const { bytes } = writer;
    let out = writer.at;
    let wrong = 0;
    bytes[out++] = QUOTE;
    for (let at = from + 2; at < to; at += 6) {
      const count = Math.min(3, (to - at) / 2);
      let group = 0;
      for (let nth = 0; nth < 3; nth++) {
        const high = nth < count ? (DIGIT[source[at + 2 * nth] as number] as number) : 0;
        const low = nth < count ? (DIGIT[source[at + 2 * nth + 1] as number] as number) : 0;
        wrong |= high | low;
        group = (group << 8) | (high << 4) | low;
      }
      bytes[out++] = ALPHABET[(group >>> 18) & 63] as number;
      bytes[out++] = ALPHABET[(group >>> 12) & 63] as number;
      bytes[out++] = count > 1 ? (ALPHABET[(group >>> 6) & 63] as number) : PADDING;
      bytes[out++] = count > 2 ? (ALPHABET[group & 63] as number) : PADDING;
    }
    bytes[out++] = QUOTE;
    if ((wrong & NO_DIGIT) !== 0) throw malformed("bytea");
    writer.at = out;
  },
};
