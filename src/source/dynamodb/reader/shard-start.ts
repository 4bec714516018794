// Where the source begins with a shard that it has read nothing of, or of which something is on record as lost.

import { type ShardPlace, Step } from "../client/position.ts";
import type { StreamEntry } from "../stream-record.ts";

const DAY_MS = 24 * 3600_000;
/** Before a day is over, what the server has dropped since some time was written before that. */
const YOUNG_MS = DAY_MS - 3600_000;
/** The server rounds times down, and clocks differ. */
const MARGIN_MS = 60_000;

export interface ShardStart {
  /** What is older than the server keeps was never to be read, or is on record as lost. */
  readonly mayBeTrimmed: boolean;
  /** Ms since 1970: records that are older than this are left out, up to the first that is not. */
  readonly since: number | undefined;
}

/** @param now ms since 1970 */
export function shardStart(
  { begun, roots, since, lost }: Pick<StreamEntry, "begun" | "roots" | "since" | "lost">,
  shard: string,
  place: ShardPlace | undefined,
  now: number,
): ShardStart {
  const isYoung = (time: string): boolean => now - Date.parse(time) < YOUNG_MS;
  const isFirst = begun !== "start" && roots.includes(shard);
  const isLost = place?.step === Step.lost || place?.step === Step.lostAgain;
  const hasNothing = place?.number === undefined && isFirst;
  return {
    mayBeTrimmed: isLost ? isYoung(lost[shard]?.at ?? since) : hasNothing && isYoung(since),
    since: isFirst && begun === "now" ? Date.parse(since) - MARGIN_MS : undefined,
  };
}
