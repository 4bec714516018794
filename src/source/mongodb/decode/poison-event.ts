// An event that cannot be written: what of its bytes is kept.

import { createHash } from "node:crypto";
import type { PoisonError } from "../../../errors.ts";
import type { Poison } from "../../source.ts";

/** How much of it is kept. */
const KEPT_BYTES = 64 * 1024;

/** An event before its place is known. */
export type PoisonEvent = Omit<Poison, "partition" | "position" | "transaction">;

/** @param raw the event's bytes; of a split one its last fragment's */
export function poisonEvent(namespace: string, collection: string, raw: Buffer, error: PoisonError): PoisonEvent {
  const sha256 = createHash("sha256").update(raw).digest("hex");
  return {
    ...{ type: "poison", namespace, collection, error },
    ...{ raw: Buffer.from(raw.subarray(0, KEPT_BYTES)), sizeBytes: raw.length, sha256 },
  };
}
