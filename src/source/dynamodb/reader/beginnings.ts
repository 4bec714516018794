// What each reading begins with: where the source has begun with a stream's shards, and what of them is lost.

import { formatCollectionName } from "../../../event/collection-name.ts";
import type { Positions } from "../../../event/positions.ts";
import type { SourceMessage } from "../../source.ts";
import { parsePartition, partitionOf } from "../client/partition.ts";
import { PositionFormat, parsePosition, Step } from "../client/position.ts";
import { NAMESPACE } from "../decode/record-decoder.ts";
import { doneShards } from "../shards/done-shards.ts";
import { placeOf, type SourceRecord, type StreamEntry } from "../stream-record.ts";
import { shardMarker } from "./shard-reading.ts";

/** @param from how far the stream has the shards */
export function beginnings(
  source: string,
  { streams }: SourceRecord,
  from: Positions | undefined,
): readonly SourceMessage[] {
  return Object.values(streams).flatMap((entry) => [
    ...rootsBegan(entry, from),
    ...Object.keys(entry.lost).flatMap((shard) => lossBegan(source, entry, shard, from)),
  ]);
}

/** Those that are not read to their ends. */
function rootsBegan(entry: StreamEntry, from: Positions | undefined): readonly SourceMessage[] {
  const { table, label, roots, over, lost, ended } = entry;
  if (ended) return [];
  const done = doneShards(entry, begunIn(entry, from));
  return roots
    .filter((shard) => !done.has(shard) && !over.includes(shard) && lost[shard]?.place.step !== Step.began)
    .map((shard) => ({ shard, ...formatOf(entry, shard) }))
    .filter(({ partition }) => stepIn(from, partition) !== Step.ended)
    .map(({ shard, partition, positions }) => {
      const position = positions.format({ number: undefined, step: Step.began });
      return { type: "began", partition, position, details: { table, stream: label, shard } };
    });
}

function lossBegan(
  source: string,
  entry: StreamEntry,
  shard: string,
  from: Positions | undefined,
): readonly SourceMessage[] {
  const { table, label, lost } = entry;
  const loss = lost[shard];
  if (loss === undefined) return [];
  const format = formatOf(entry, shard);
  const place = placeOf(loss.place);
  const began: SourceMessage = {
    ...{ type: "began", partition: format.partition, position: format.positions.format(place) },
    details: { table, stream: label, shard },
    lost: {
      ...{ code: loss.code, reason: loss.reason, details: loss.details },
      collections: [formatCollectionName({ namespace: NAMESPACE, collection: table })],
    },
  };
  if (!loss.gone || stepIn(from, format.partition) === Step.ended) return [began];
  const body = { state: "ends", table, stream: label, shard, children: [] };
  return [began, shardMarker(source, format, { ...place, step: Step.ended }, body)];
}

/** Shards of a stream that the stream of the bus has something of. */
function begunIn({ table, label }: StreamEntry, from: Positions | undefined): ReadonlySet<string> {
  const named = [...(from?.keys() ?? [])].map(parsePartition);
  return new Set(named.filter((one) => one.table === table && one.label === label).map(({ shard }) => shard));
}

function stepIn(from: Positions | undefined, partition: string): Step | undefined {
  const position = from?.get(partition);
  return position && parsePosition(position).step;
}

function formatOf(
  { table, label }: StreamEntry,
  shard: string,
): { readonly partition: string; readonly positions: PositionFormat } {
  const partition = partitionOf({ table, label, shard });
  return { partition, positions: new PositionFormat(partition) };
}
