// An event that cannot be written: what of its bytes is kept.

import { createHash } from "node:crypto";
import type { PoisonError } from "../../../errors.ts";
import type { Poison } from "../../source.ts";

/** How much of it is kept. */
const KEPT_BYTES = 64 * 1024;

/** An event before its place is known. */
export type PoisonEvent = Omit<Poison, "partition" | "position" | "transaction">;

/** Why an event cannot be had whole. */
export interface Oversize {
  readonly error: PoisonError;
  /** Of the whole event. */
  readonly sizeBytes: number;
}

/**
 * @param raw the event's bytes; of a split one its last fragment's
 * @param sizeBytes of the whole event, where `raw` is only a part of it
 */
export function poisonEvent(
  namespace: string,
  collection: string,
  raw: Buffer,
  { error, sizeBytes }: { readonly error: PoisonError; readonly sizeBytes?: number },
): PoisonEvent {
  const sha256 = sizeBytes === undefined ? createHash("sha256").update(raw).digest("hex") : undefined;
  return {
    ...{ type: "poison", namespace, collection, error },
    ...{ raw: Buffer.from(raw.subarray(0, KEPT_BYTES)), sizeBytes: sizeBytes ?? raw.length, sha256 },
  };
}
