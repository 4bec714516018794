// How a stream is read, for whoever holds what was read of its table: whether all that it took until then was handed out.

import type { ShardReading } from "./shard-reading.ts";
import type { Moment } from "./shard-tip.ts";
import type { StreamFollower } from "./stream-follower.ts";

/** `unread`: nobody reads it yet, or any more; `off`: it takes no changes. */
export type StreamStanding =
  | { readonly state: "passed" | "unread" | "off" }
  /** With when the newest record of the shard that is furthest behind was made, ms since 1970; undefined where none was handed out. */
  | { readonly state: "behind"; readonly newestMs: number | undefined };

/** @param readings of all of its shards @param delayMs how late what it took until the moment may come, at most */
export function standingOf(
  follower: Pick<StreamFollower, "disabled" | "isFollowed"> | undefined,
  readings: readonly Pick<ShardReading, "tip">[],
  moment: Moment,
  delayMs: number,
): StreamStanding {
  if (follower === undefined) return { state: "unread" };
  if (follower.disabled) return { state: "off" };
  const behind = readings.filter(({ tip }) => tip.isBehind(moment, delayMs));
  if (behind.length === 0 && follower.isFollowed(delayMs)) return { state: "passed" };
  const times = behind.flatMap(({ tip }) => tip.createdMs ?? []);
  return { state: "behind", newestMs: times.length === 0 ? undefined : Math.min(...times) };
}
