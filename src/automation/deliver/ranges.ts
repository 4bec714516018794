// Which sequences one record of the event log may span. Pure.

import type { Delivery } from "../../bus/subscription.ts";

export type Settled = Pick<Delivery, "sequence" | "follows">;

/**
 * Runs of sequences, both ends included, rising, for events that all came to the same end. A run passes over the sequences of
 * others only where its durable handed out one of its events right behind the other: then no event of the automation stands
 * between the two, in whatever hands. Where that is not known it ends.
 */
export function rangesOf(settled: readonly Settled[]): readonly (readonly [first: number, last: number])[] {
  const ranges: [first: number, last: number][] = [];
  for (const { sequence, follows } of [...settled].sort((a, b) => a.sequence - b.sequence)) {
    const newest = ranges.at(-1);
    if (newest !== undefined && (sequence <= newest[1] + 1 || follows === newest[1])) newest[1] = sequence;
    else ranges.push([sequence, sequence]);
  }
  return ranges;
}
