// Resume tokens as text without spaces or dots, to be put at the end of a position.

import type { BSON } from "mongodb";
import { driver } from "./driver.ts";

/** MongoDB's tokens are one hexadecimal text; servers that only speak its protocol may have others. */
const OTHER = "_";
const HEX = new Uint8Array(256);
for (const digit of Buffer.from("0123456789abcdefABCDEF")) HEX[digit] = 1;
/** What stands before that text: its type, its name. The lengths around are checked by themselves. */
const HEAD = Buffer.from("\x02_data\0", "latin1");
const TEXT_AT = 4 + HEAD.length + 4;

/** @param bytes hold the raw document from `from` to `to` */
export function tokenText(bytes: Buffer, from = 0, to: number = bytes.length): string {
  if (isOneHexadecimal(bytes, from, to)) return bytes.toString("latin1", from + TEXT_AT, to - 2);
  return OTHER + bytes.toString("base64url", from, to);
}

/** Read from its bytes, for there is a token in each event. */
function isOneHexadecimal(bytes: Buffer, from: number, to: number): boolean {
  for (let at = 0; at < HEAD.length; at++) if (bytes[from + 4 + at] !== HEAD[at]) return false;
  const textBytes = to - from - TEXT_AT - 1;
  if (textBytes < 2 || bytes.readInt32LE(from + 4 + HEAD.length) !== textBytes) return false;
  for (let at = from + TEXT_AT; at < to - 2; at++) if (HEX[bytes[at] as number] === 0) return false;
  return true;
}

export function tokenDocument(text: string): BSON.Document {
  if (!text.startsWith(OTHER)) return { _data: text };
  return driver().BSON.deserialize(Buffer.from(text.slice(1), "base64url"), { promoteValues: false });
}

/** The cluster time in one of MongoDB's own tokens; undefined for others. It is a hint only: the format is not promised. */
export function tokenTime(text: string): { readonly t: number; readonly i: number } | undefined {
  const [, t, i] = /^82([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})/.exec(text) ?? [];
  return t === undefined || i === undefined ? undefined : { t: Number.parseInt(t, 16), i: Number.parseInt(i, 16) };
}
