// How a column's values are hidden: a constant, a keyed hash, or all but the last letters. A mask writes JSON, never the value.

import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { BugError } from "../../../errors.ts";
import type { JsonSchema } from "../../../event/collection-schema.ts";
import type { ValueWriter } from "../values/value-type.ts";

export const maskSchema: z.ZodType<Mask> = z.union(
  [
    z.literal("hash"),
    z.strictObject({ constant: z.union([z.string(), z.number(), z.boolean(), z.null()]) }),
    z.strictObject({ partial: z.int().min(1).max(16) }),
  ],
  { error: 'expected "hash", { constant: "..." } or { partial: 4 }' },
);

export type Mask =
  | "hash"
  | { readonly constant: string | number | boolean | null }
  /** How many letters stay. */
  | { readonly partial: number };

export interface ColumnMask {
  readonly write: ValueWriter;
  /** What stands in events instead. */
  readonly schema: JsonSchema;
  /** What stands for SQL's null. */
  readonly nullText: Uint8Array;
  /** Bytes that it writes at most, beyond those of the value. */
  readonly room: number;
  /** Whether different values stay different: a key may be masked like that. */
  readonly distinct: boolean;
}

const NULL_TEXT = Buffer.from("null");
const HIDDEN = "***";
const HASH_BYTES = 64;
const QUOTES = 2;
/** At most, in UTF-8. */
const LETTER_BYTES = 4;
const HASHED: JsonSchema = { type: "string", pattern: "^[0-9a-f]{64}$" };

/** @param key of the hash; null stays null except under a constant */
export function columnMask(mask: Mask, key: KeyObject | undefined): ColumnMask {
  if (mask === "hash") {
    if (key === undefined) throw new BugError("MASK_WITHOUT_KEY", "a mask by hash came through without its key");
    return { write: hash(key), schema: HASHED, nullText: NULL_TEXT, room: HASH_BYTES + QUOTES, distinct: true };
  }
  if ("partial" in mask) {
    const room = HIDDEN.length + QUOTES;
    return { write: partial(mask.partial), schema: { type: "string" }, nullText: NULL_TEXT, room, distinct: false };
  }
  const text = Buffer.from(JSON.stringify(mask.constant));
  const schema = { const: mask.constant };
  return { write: (writer) => writer.literal(text), schema, nullText: text, room: text.length, distinct: false };
}

/** @param secret of the option `maskKey` */
export function maskKey(secret: string): KeyObject {
  return createSecretKey(secret, "utf8");
}

/** HMAC-SHA-256 of the text that Postgres prints: the same value has the same hash in every table of the source. */
function hash(key: KeyObject): ValueWriter {
  return (writer, source, from, to) => {
    const digest = createHmac("sha256", key).update(source.subarray(from, to)).digest("hex");
    writer.literal(Buffer.from(`"${digest}"`));
  };
}

/** How long a value is stays hidden too; where less than half of it would be hidden, all of it is. */
function partial(kept: number): ValueWriter {
  return (writer, source, from, to) => {
    const letters = Array.from(Buffer.from(source.subarray(tailFrom(source, from, to, 2 * kept), to)).toString("utf8"));
    const shown = letters.length < 2 * kept ? [] : letters.slice(-kept);
    writer.literal(Buffer.from(JSON.stringify(HIDDEN + shown.join(""))));
  };
}

/** Where the last letters of a text may begin: enough for this many, however long the text is. */
function tailFrom(source: Uint8Array, from: number, to: number, letters: number): number {
  let at = to - LETTER_BYTES * (letters + 1);
  if (at <= from) return from;
  while (at < to && ((source[at] as number) & 0xc0) === 0x80) at++; // inside of a letter
  return at;
}
