// Where the stream goes on: the end of what is stored against what the slot still has.

import { HistoryLostError } from "../../../errors.ts";
import { comparePositions, type Position } from "../../../event/position.ts";
import type { Began, SourceContext } from "../../source.ts";
import { formatLsn, parseLsn } from "../client/lsn.ts";
import { behindTransaction, boundaryBefore, finalOf, historyOf, startLsn } from "../client/position.ts";
import { type Cause, type Created, causeOf } from "./slot-record.ts";

export interface Resumption {
  /** Behind it the decoder goes on. */
  readonly from: Position;
  readonly start: bigint;
  /** What to remember; another one than before when a gap was accepted. */
  readonly intent: Created;
  readonly began: Began;
}

/**
 * The last place that the stream has of the intent's history: its beginning when it has nothing of it yet.
 * @throws HistoryLostError SOURCE_HISTORY
 */
export function lastPlace(intent: Created, stored: Position | undefined): Position {
  if (stored !== undefined && historyOf(stored) > intent.history) {
    throw new HistoryLostError(
      "SOURCE_HISTORY",
      `the stream is in history ${historyOf(stored)}, the slot in ${intent.history}`,
      {
        hint: "The saved state is older than the stream: run --adopt starts over with a new slot and records the gap.",
      },
    );
  }
  if (stored !== undefined && historyOf(stored) === intent.history) return stored;
  return boundaryBefore(intent.history, parseLsn(intent.consistentPoint));
}

/**
 * @param stored the end of the stream; undefined when it is empty
 * @param confirmed where the slot begins
 * @param accepts whether to go on behind a gap, and record it
 * @throws HistoryLostError SLOT_ADVANCED, SOURCE_HISTORY
 */
export function resumeAt(
  intent: Created,
  stored: Position | undefined,
  confirmed: bigint,
  accepts: SourceContext["accepts"],
): Resumption {
  const from = lastPlace(intent, stored);
  const start = startLsn(from);
  if (confirmed <= start) {
    const place = boundaryBefore(intent.history, parseLsn(intent.consistentPoint));
    return { from, start, intent, began: beganAt(place, intent, stored) };
  }
  // Somebody read from the slot, or made it anew: what it no longer has was never published.
  const accepted = intent.cause !== undefined && confirmed <= parseLsn(intent.consistentPoint);
  const advanced = slotAdvanced(confirmed, start);
  if (!accepted && !accepts("gap")) throw advanced;
  const cause = accepted ? intent.cause : causeOf(advanced);
  const adopted: Created = { ...intent, consistentPoint: formatLsn(confirmed), cause };
  const boundary = boundaryBefore(intent.history, confirmed);
  // Of a transaction that the stream has in part the rest is lost.
  const place = comparePositions(boundary, from) > 0 ? boundary : behindTransaction(from);
  return { from: place, start: confirmed, intent: adopted, began: beganAt(place, adopted, stored) };
}

function slotAdvanced(confirmed: bigint, start: bigint): HistoryLostError {
  return new HistoryLostError(
    "SLOT_ADVANCED",
    `the slot begins at ${formatLsn(confirmed)}, but the stream ends at ${formatLsn(start)}`,
    {
      hint: "Commits between the two are lost to the stream; where only its saved checkpoint was deleted (CHECKPOINT_MISSING in the log), perhaps none. run --adopt goes on and records the gap.",
    },
  );
}

/** The beginning of a history, and what was lost before it. */
function beganAt(position: Position, intent: Created, stored: Position | undefined): Began {
  const { history, slot, systemId, timeline, consistentPoint, cause } = intent;
  const details = { history, slot, systemId, timeline, consistentPoint };
  if (cause === undefined) return { type: "began", position, details };
  const { code, message: reason } = cause;
  const lost = { code, reason, details: { slot }, goneBehind: departureOf(stored, history, cause) };
  return { type: "began", position, details, lost };
}

/** Where the server's log left what the stream holds, when the stream has commits from behind it. */
function departureOf(stored: Position | undefined, history: number, { switchedAt }: Cause): Position | undefined {
  if (stored === undefined || switchedAt === undefined || historyOf(stored) === history) return undefined;
  if (finalOf(stored) < parseLsn(switchedAt)) return undefined;
  return boundaryBefore(historyOf(stored), parseLsn(switchedAt));
}
