// Where the stream goes on: the end of what is stored against what the slot still has.

import { HistoryLostError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import { type Marker, markerAt } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { SourceContext } from "../../source.ts";
import { formatLsn, parseLsn } from "../client/lsn.ts";
import { boundaryBefore, finalOf, historyOf, startLsn } from "../client/position.ts";
import { type Cause, type Created, causeOf } from "./slot-record.ts";

export interface Resumption {
  /** Behind it the decoder goes on. */
  readonly from: Position;
  readonly start: bigint;
  /** What to remember; another one than before when a gap was accepted. */
  readonly intent: Created;
  /** To be published before anything else, together or not at all: they stand at one place. */
  readonly markers: readonly Marker[];
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
  source: SourceId,
  intent: Created,
  stored: Position | undefined,
  confirmed: bigint,
  accepts: SourceContext["accepts"],
): Resumption {
  const from = lastPlace(intent, stored);
  const start = startLsn(from);
  if (confirmed <= start) {
    return { from, start, intent, markers: from === stored ? [] : firstMarkers(source, intent, stored) };
  }
  // Somebody read from the slot, or made it anew: what it no longer has was never published.
  const accepted = intent.cause !== undefined && confirmed <= parseLsn(intent.consistentPoint);
  const advanced = slotAdvanced(confirmed, start);
  if (!accepted && !accepts("gap")) throw advanced;
  const cause = accepted ? intent.cause : causeOf(advanced);
  const adopted: Created = { ...intent, consistentPoint: formatLsn(confirmed), cause };
  const markers = firstMarkers(source, adopted, stored);
  return { from: boundaryBefore(intent.history, confirmed), start: confirmed, intent: adopted, markers };
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

/** The beginning of a history, and before it the gap that it was bought with. */
function firstMarkers(source: SourceId, intent: Created, stored: Position | undefined): readonly Marker[] {
  const { history, slot, systemId, timeline, consistentPoint, cause } = intent;
  const position = boundaryBefore(history, parseLsn(consistentPoint));
  const code = cause?.code ?? null;
  const begin = { history, slot, systemId, timeline, consistentPoint, code, reason: cause?.message ?? "first start" };
  const markers = [markerAt(source, "history", position, begin)];
  if (cause === undefined) return markers;
  const phantom = phantomRange(stored, history, cause);
  const gap = { after: stored ?? null, upTo: position, code, reason: cause.message };
  return [{ ...markerAt(source, "gap", position, { ...gap, slot, phantom }), gap }, ...markers];
}

/** What the stream holds of commits that the server no longer has: behind the place where its log left ours. */
function phantomRange(
  stored: Position | undefined,
  history: number,
  { switchedAt }: Cause,
): { readonly after: Position; readonly upTo: Position } | undefined {
  if (stored === undefined || switchedAt === undefined || historyOf(stored) === history) return undefined;
  if (finalOf(stored) < parseLsn(switchedAt)) return undefined;
  return { after: boundaryBefore(historyOf(stored), parseLsn(switchedAt)), upTo: stored };
}
