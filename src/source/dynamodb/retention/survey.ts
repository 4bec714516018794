// Which shards hold what a source has not read, found as the reader finds them; and what of them is lost already.

import type { Clock } from "../../../clock.ts";
import type { Positions } from "../../../event/positions.ts";
import type { DynamoApi } from "../client/api.ts";
import { ifUnknown } from "../client/errors.ts";
import { partitionOf } from "../client/partition.ts";
import type { ShardPlace } from "../client/position.ts";
import type { Loss } from "../reader/losses.ts";
import { placesOf } from "../reader/places.ts";
import { StreamFollower } from "../reader/stream-follower.ts";
import { knownOf } from "../shards/done-shards.ts";
import { listShards } from "../shards/list-shards.ts";
import type { ListedShard } from "../shards/shard-graph.ts";
import type { SourceRecord, StreamEntry } from "../stream-record.ts";

/** A shard that is not read to its end. */
export interface OpenShard {
  readonly partition: string;
  readonly arn: string;
  readonly entry: StreamEntry;
  readonly shard: Pick<ListedShard, "id" | "start">;
  /** How far the source has it. */
  readonly place: ShardPlace | undefined;
}

export interface Survey {
  /** Those that may be read, and those that wait for their parents. */
  readonly shards: readonly OpenShard[];
  readonly lost: readonly Loss[];
  /** How many of the shards wait for their parents. */
  readonly waiting: number;
}

export interface SurveyOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly record: SourceRecord;
  /** How far the source has its shards. */
  readonly through: Positions | undefined;
  readonly signal: AbortSignal;
}

/** Lists all streams that are not read to their ends. @throws ServerError, TransientError, ConfigError */
export async function survey(options: SurveyOptions): Promise<Survey> {
  const { api, clock, record, through, signal } = options;
  const places = placesOf(record, through);
  const shards: OpenShard[] = [];
  const lost: Loss[] = [];
  let waiting = 0;
  for (const [arn, entry] of Object.entries(record.streams)) {
    if (entry.ended) continue;
    const ofStream = places.get(arn) ?? new Map<string, ShardPlace>();
    const ready = new Map<string, ListedShard>();
    const follower = new StreamFollower({
      ...{ api, clock, signal, arn, places: ofStream },
      ...{ table: entry.table, label: entry.label, ...knownOf(entry, ofStream) },
      onReady: (shard) => ready.set(shard.id, shard),
      onLost: (loss) => lost.push(loss),
      placeOf: (shard) => ofStream.get(shard),
    });
    await follower.open();
    for (const id of follower.graph.unfinished()) {
      const shard = ready.get(id) ?? { id, start: undefined };
      if (!ready.has(id)) waiting++;
      shards.push({ partition: partitionIn(entry, id), arn, entry, shard, place: ofStream.get(id) });
    }
    if (follower.disabled) shards.push(...(await nextStream(api, record, entry)));
  }
  return { shards, lost, waiting };
}

/** Of a table whose stream was switched off and on again: what no reading has begun with yet. */
async function nextStream(
  api: DynamoApi,
  { streams }: SourceRecord,
  { table }: StreamEntry,
): Promise<readonly OpenShard[]> {
  const next = await api
    .describeTable(table)
    .then(({ stream }) => stream)
    .catch(ifUnknown);
  if (next === undefined || streams[next.arn] !== undefined) return [];
  const listing = await listShards(api, next.arn).catch(ifUnknown);
  const { arn, label } = next;
  const entry: StreamEntry = {
    ...{ table, label, since: new Date(0).toISOString(), begun: "start", roots: [], over: [] },
    ...{ done: {}, lost: {}, ended: false },
  };
  return (listing?.shards ?? []).map(({ id }) => ({
    ...{ partition: partitionIn(entry, id), arn, entry },
    shard: { id, start: undefined },
    place: undefined,
  }));
}

function partitionIn({ table, label }: StreamEntry, shard: string): string {
  return partitionOf({ table, label, shard });
}
