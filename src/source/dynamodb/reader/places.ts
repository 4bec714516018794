// How far the shards of a source are: by what its stream has, and by what is on record as lost.

import type { Positions } from "../../../event/positions.ts";
import { parsePartition } from "../client/partition.ts";
import { padNumber, parsePosition, type ShardPlace, Step } from "../client/position.ts";
import { placeOf, type SourceRecord } from "../stream-record.ts";

/** By stream and shard: the later one of what the stream has and where a loss goes on. */
export function placesOf(
  { streams }: SourceRecord,
  from: Positions | undefined,
): ReadonlyMap<string, ReadonlyMap<string, ShardPlace>> {
  const named = [...(from ?? [])].map(([partition, position]) => ({ ...parsePartition(partition), position }));
  return new Map(
    Object.entries(streams).map(([arn, { table, label, lost }]) => {
      const places = new Map<string, ShardPlace>();
      for (const one of named)
        if (one.table === table && one.label === label) places.set(one.shard, parsePosition(one.position));
      for (const [shard, { place, gone }] of Object.entries(lost)) {
        const at = gone ? { ...placeOf(place), step: Step.ended } : placeOf(place);
        const reached = places.get(shard);
        if (reached === undefined || isBefore(reached, at)) places.set(shard, at);
      }
      return [arn, places];
    }),
  );
}

function isBefore(a: ShardPlace, b: ShardPlace): boolean {
  const [x, y] = [padNumber(a.number ?? ""), padNumber(b.number ?? "")];
  return x < y || (x === y && a.step < b.step);
}
