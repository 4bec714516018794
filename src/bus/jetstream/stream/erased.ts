// What is on record of events that were erased on purpose: their numbers and subjects, never their keys or values.

import type { JetStreamManager } from "@nats-io/jetstream";
import { z } from "zod";
import type { SourceId } from "../../../event/source-id.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { messagesUnder } from "../client/streams.ts";

export interface Erased {
  readonly subject: string;
  readonly at: string;
}

const erasedSchema: z.ZodType<Erased> = z.object({ subject: z.string(), at: z.string() });

/** Under which erasures are on record. */
export function erasedKey(source: SourceId, sequence: number | "*"): string {
  return `erased.${source}.${sequence}`;
}

/** By number; all that are on record of the source. */
export async function readErased(jsm: JetStreamManager, source: SourceId): Promise<ReadonlyMap<number, Erased>> {
  const erased = new Map<number, Erased>();
  for await (const entry of messagesUnder(jsm, `KV_${STATE_BUCKET}`, `$KV.${STATE_BUCKET}.${erasedKey(source, "*")}`)) {
    const found = erasedSchema.safeParse(entry.data.length > 0 ? entry.json() : undefined);
    if (found.success) erased.set(Number(entry.subject.split(".").at(-1)), found.data);
  }
  return erased;
}
