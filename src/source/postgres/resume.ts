// Where the stream goes on: the end of what is stored against what the slot still has.

import { HistoryLostError } from "../../errors.ts";
import { markerMessage, type StreamMessage } from "../../event/message.ts";
import type { Position } from "../../event/position.ts";
import type { SourceId } from "../../event/source-id.ts";
import { formatLsn, parseLsn } from "./lsn.ts";
import type { Created } from "./memory.ts";
import { historyOf, restBefore, startLsn } from "./position.ts";

export interface Resumption {
  /** Behind it the decoder goes on. */
  readonly from: Position;
  readonly start: bigint;
  /** What to remember; another one than before when a gap was accepted. */
  readonly intent: Created;
  /** To be published before anything else. */
  readonly markers: readonly StreamMessage[];
}

/**
 * @param stored the end of the stream; undefined when it is empty
 * @param confirmed where the slot begins
 * @param adopt accept a gap, and record it
 * @throws HistoryLostError SLOT_ADVANCED, SOURCE_HISTORY
 */
export function resumeAt(
  source: SourceId,
  intent: Created,
  stored: Position | undefined,
  confirmed: bigint,
  adopt: boolean,
): Resumption {
  if (stored !== undefined && historyOf(stored) !== intent.history) {
    throw new HistoryLostError(
      "SOURCE_HISTORY",
      `the stream is in history ${historyOf(stored)}, the slot in ${intent.history}`,
      {
        hint: "The saved state is older than the stream: start over with a new slot and a backfill.",
      },
    );
  }
  const origin = parseLsn(intent.consistentPoint);
  const start = stored === undefined ? origin : startLsn(stored);
  if (confirmed <= start) {
    const from = stored ?? restBefore(intent.history, origin);
    return { from, start, intent, markers: stored === undefined ? firstMarkers(source, intent, stored) : [] };
  }
  // Somebody read from the slot, or made it anew: what it no longer has was never published.
  const accepted = intent.reason === "adopted" && confirmed <= origin;
  if (!accepted && !adopt) {
    throw new HistoryLostError(
      "SLOT_ADVANCED",
      `the slot begins at ${formatLsn(confirmed)}, but the stream ends at ${formatLsn(start)}`,
      { hint: "Commits between the two are lost to the stream: run --adopt goes on and records the gap." },
    );
  }
  const adopted: Created = { ...intent, consistentPoint: formatLsn(confirmed), reason: "adopted" };
  const markers = firstMarkers(source, adopted, stored);
  return { from: restBefore(intent.history, confirmed), start: confirmed, intent: adopted, markers };
}

/** The beginning of a history, and before it the gap that it was bought with. */
function firstMarkers(source: SourceId, intent: Created, stored: Position | undefined): readonly StreamMessage[] {
  const { history, slot, systemId, consistentPoint, reason } = intent;
  const position = restBefore(history, parseLsn(consistentPoint));
  const begin = markerMessage(source, "history", position, { history, slot, systemId, consistentPoint, reason });
  if (reason === "first start") return [begin];
  const gap = { after: stored ?? null, upTo: position, slot, reason: "slot adopted" };
  return [markerMessage(source, "gap", position, gap), begin];
}
