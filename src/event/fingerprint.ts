// What errors of one kind have in common: their name, code, words without what is of one event alone, and the place in the code.

import { createHash } from "node:crypto";

/** As far as it goes into a fingerprint. */
export interface FingerprintedError {
  readonly name?: string | undefined;
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** The first lines of the stack that are the handler's own: `work (automations/mail.ts:12:9)`. */
  readonly at?: readonly string[] | undefined;
}

/** Twelve hexadecimal digits: the same for errors that say the same of different events. */
export function fingerprintOf({ name = "", code = "", message = "", at = [] }: FingerprintedError): string {
  const parts = [name, code, wordsOf(message), placeOf(at[0] ?? "")];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 12);
}

/** Without what differs from event to event: quoted values, ids, numbers. */
export function wordsOf(message: string): string {
  return message
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, "…")
    .replace(/\b[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}\b/gi, "…")
    .replace(/\b(?=[\da-f]*\d)[\da-f]{8,}\b/gi, "…")
    .replace(/\S*@\S+/g, "…")
    .replace(/\d+(?:[.,:]\d+)*/g, "…")
    .replace(/\s+/g, " ")
    .trim();
}

/** Function and file without line and column, which change with each edit, and without where the code is installed. */
function placeOf(frame: string): string {
  return frame.replace(/:\d+:\d+\)?$/, "").replace(/(^|\()[^()]*[\\/]/, "$1");
}
