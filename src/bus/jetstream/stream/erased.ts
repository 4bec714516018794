// What is on record of events that were erased on purpose: their numbers and subjects, never their keys or values.

import type { JetStreamManager } from "@nats-io/jetstream";
import type { SourceId } from "../../../event/source-id.ts";
import { apiCodes } from "../client/api-codes.ts";
import { isApiError } from "../client/bus-errors.ts";

export interface Erased {
  readonly subject: string;
  readonly at: string;
}

/** Under which erasures are on record. */
export function erasedKey(source: SourceId, sequence: number | "*"): string {
  return `erased.${source}.${sequence}`;
}

/** By number; all that are on record of the source. */
export async function readErased(
  { streams }: JetStreamManager,
  source: SourceId,
): Promise<ReadonlyMap<number, Erased>> {
  const stream = "KV_millrace_state";
  const prefix = "$KV.millrace_state.";
  const erased = new Map<number, Erased>();
  try {
    for (let seq = 1; ; ) {
      const query = { seq, next_by_subj: `${prefix}${erasedKey(source, "*")}` };
      const entry = await streams.getMessage(stream, query);
      if (entry === null) return erased;
      const number = Number(entry.subject.split(".").at(-1));
      if (entry.data.length > 0) erased.set(number, entry.json<Erased>());
      seq = entry.seq + 1;
    }
  } catch (error) {
    if (isApiError(error, apiCodes.streamNotFound, apiCodes.noMessageFound)) return erased;
    throw error;
  }
}
