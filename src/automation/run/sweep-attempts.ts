// Deletes what is still remembered of events that are settled: a kill between the two left it, or a bus that forgot the deletion.

import type { StateStore } from "../../bus/bus.ts";
import type { SourceId } from "../../event/source-id.ts";
import { attemptsPrefix } from "../deliver/attempts.ts";

/** Of one automation on one source, whose events are all settled up to and including a sequence. @throws TransientError */
export async function sweepAttempts(
  state: Pick<StateStore, "keys" | "delete">,
  automation: string,
  source: SourceId,
  settledThrough: number,
): Promise<void> {
  const prefix = attemptsPrefix(automation, source);
  for (const key of await state.keys(prefix)) {
    if (Number(key.slice(prefix.length)) <= settledThrough) await state.delete(key);
  }
}
