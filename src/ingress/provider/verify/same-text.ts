// Comparing what must not be guessed.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

const key = randomBytes(32);

/** Whether two texts are the same, in a time that says nothing of where they differ, nor of their lengths. */
export function sameText(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other)) && one === other;
}

/** Of equal length for any text, and nobody knows which. */
function digest(text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}
