// Resume tokens as text without spaces or dots, to be put at the end of a position.

import { BSON } from "mongodb";

/** MongoDB's tokens are one hexadecimal text; servers that only speak its protocol may have others. */
const hexadecimal = /^[0-9A-Fa-f]+$/;
const OTHER = "_";

/** @param token the raw document */
export function tokenText(token: Buffer): string {
  const { _data: data, ...rest } = BSON.deserialize(token) as { _data?: unknown };
  if (typeof data === "string" && hexadecimal.test(data) && Object.keys(rest).length === 0) return data;
  return OTHER + token.toString("base64url");
}

export function tokenDocument(text: string): BSON.Document {
  if (!text.startsWith(OTHER)) return { _data: text };
  return BSON.deserialize(Buffer.from(text.slice(1), "base64url"), { promoteValues: false });
}

/** The cluster time in one of MongoDB's own tokens; undefined for others. It is a hint only: the format is not promised. */
export function tokenTime(text: string): { readonly t: number; readonly i: number } | undefined {
  const [, t, i] = /^82([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})/.exec(text) ?? [];
  return t === undefined || i === undefined ? undefined : { t: Number.parseInt(t, 16), i: Number.parseInt(i, 16) };
}
