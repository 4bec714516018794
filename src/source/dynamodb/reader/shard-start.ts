// Where the source begins with a shard that it has read nothing of.

import type { StreamEntry } from "../stream-record.ts";

const DAY_MS = 24 * 3600_000;
/** Before a day is over, what the server has dropped since a first start was written before it. */
const YOUNG_MS = DAY_MS - 3600_000;
/** The server rounds times down, and clocks differ. */
const MARGIN_MS = 60_000;

export interface ShardStart {
  /** What is older than the server keeps was never to be read. */
  readonly mayBeTrimmed: boolean;
  /** Ms since 1970: records that are older than this are left out, up to the first that is not. */
  readonly since: number | undefined;
}

/** @param now ms since 1970 */
export function shardStart({ begun, roots, since }: StreamEntry, shard: string, now: number): ShardStart {
  const isFirst = begun !== "start" && roots.includes(shard);
  const at = Date.parse(since);
  return {
    mayBeTrimmed: isFirst && now - at < YOUNG_MS,
    since: isFirst && begun === "now" ? at - MARGIN_MS : undefined,
  };
}
