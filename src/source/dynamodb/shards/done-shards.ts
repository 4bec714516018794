// Shards that were read to their ends and have left the checkpoint: which of those on record are believed, and what becomes of the
// record when more of them end. docs/decisions/0014 has the argument.

import type { Position } from "../../../event/position.ts";
import type { Positions } from "../../../event/positions.ts";
import type { Ended } from "../../source.ts";
import { parsePartition } from "../client/partition.ts";
import { parsePosition, type ShardPlace, Step } from "../client/position.ts";
import { type SourceRecord, type StreamEntry, streamBehind } from "../stream-record.ts";
import type { ShardGraph } from "./shard-graph.ts";

/**
 * Of the shards that are on record as done, those for which the stream of the bus vouches: it has something of a shard behind them,
 * which was read behind their ends. Of one that was set back, or made anew, it has nothing: then they are read again.
 * @param begun shards that the stream has something of
 */
export function doneShards({ done }: Pick<StreamEntry, "done">, begun: ReadonlySet<string>): ReadonlySet<string> {
  const believed = new Set<string>();
  const isBorneOut = (shard: string): boolean => {
    for (let at = done[shard]; at !== undefined; at = done[at]) if (begun.has(at) || believed.has(at)) return true;
    return false;
  };
  for (const shard of Object.keys(done)) if (!begun.has(shard) && isBorneOut(shard)) believed.add(shard);
  return believed;
}

/** What is known of a stream's shards before it is asked. @param places how far the source's stream has each, or has lost it */
export function knownOf(
  entry: StreamEntry,
  places: ReadonlyMap<string, ShardPlace>,
): { readonly roots: readonly string[]; readonly over: readonly string[]; readonly begun: ReadonlySet<string> } {
  const begun = new Set([...places.keys()].filter((id) => entry.lost[id]?.gone !== true));
  return { roots: entry.roots, over: [...entry.over, ...doneShards(entry, begun)], begun };
}

/** What acknowledged places make of a record. */
export interface Settled {
  /** The same object where nothing has changed. */
  readonly record: SourceRecord;
  /** Of the partitions whose places need not be kept. */
  readonly ends: readonly Ended[];
}

/**
 * Shards that are read to their ends, and of which one behind them has begun, may leave the checkpoint, as may all of streams that
 * are over; and those that are listed no more may leave the record, as may streams of which the checkpoint has nothing. A stream is
 * over when all of it is acknowledged and another one of its table is on record.
 * @param positions that are acknowledged: all that there are
 * @param graphs of the streams that are read, by their ARNs
 */
export function settle(record: SourceRecord, positions: Positions, graphs: ReadonlyMap<string, ShardGraph>): Settled {
  const ofStream = new Map<string, Map<string, readonly [string, Position]>>();
  for (const [partition, position] of positions) {
    const { table, label, shard } = parsePartition(partition);
    const key = keyOf({ table, label });
    ofStream.set(key, (ofStream.get(key) ?? new Map()).set(shard, [partition, position]));
  }
  let { streams } = record;
  const ends: Ended[] = [];
  const end = (places: Iterable<readonly [string, Position]>): void => {
    for (const [partition, position] of places) ends.push({ type: "ended", partition, position });
  };
  for (const [arn, entry] of Object.entries(record.streams)) {
    const places = ofStream.get(keyOf(entry)) ?? new Map<string, readonly [string, Position]>();
    ofStream.delete(keyOf(entry));
    const graph = graphs.get(arn);
    const isFollowed = streamBehind(record, entry) !== undefined;
    const isOver = entry.ended || (isFollowed && graph !== undefined && isWhole(entry, places, graph));
    if (isOver) {
      end(places.values());
      // With its last place out of the checkpoint nothing of it is needed.
      if (!entry.ended) streams = { ...streams, [arn]: { ...entry, done: {}, lost: {}, ended: true } };
      else if (isFollowed && places.size === 0) streams = withoutStream(streams, arn);
    }
    if (isOver || graph === undefined) continue;
    const begun = new Set(places.keys());
    const witnesses = endedWith(entry, places, begun, graph);
    end([...witnesses.keys()].flatMap((shard) => [places.get(shard)].filter((place) => place !== undefined)));
    const next = pruned(withDone(entry, witnesses), begun, graph);
    if (next !== entry) streams = { ...streams, [arn]: next };
  }
  // Of streams that are no longer on record, nothing is read.
  for (const places of ofStream.values()) end(places.values());
  return { record: streams === record.streams ? record : { ...record, streams }, ends };
}

/** Whether the ends of all its last shards are acknowledged. */
function isWhole(
  { over }: Pick<StreamEntry, "over">,
  places: ReadonlyMap<string, readonly [string, Position]>,
  graph: ShardGraph,
): boolean {
  const hasEnded = (shard: string): boolean => {
    const [, position] = places.get(shard) ?? [];
    return position === undefined ? over.includes(shard) : parsePosition(position).step === Step.ended;
  };
  return graph.isDone && [...places.keys(), ...graph.leaves()].every(hasEnded);
}

function withoutStream(streams: SourceRecord["streams"], arn: string): SourceRecord["streams"] {
  return Object.fromEntries(Object.entries(streams).filter(([one]) => one !== arn));
}

function keyOf({ table, label }: Pick<StreamEntry, "table" | "label">): string {
  return `${table}/${label}`;
}

/** Shards that are read to their ends, each with one behind it that vouches for it. */
function endedWith(
  entry: StreamEntry,
  places: ReadonlyMap<string, readonly [string, Position]>,
  begun: ReadonlySet<string>,
  graph: ShardGraph,
): ReadonlyMap<string, string> {
  const believed = doneShards(entry, begun);
  const witnesses = new Map<string, string>();
  for (const [shard, [, position]] of places) {
    if (parsePosition(position).step !== Step.ended) continue;
    const behind = [...graph.childrenOf(shard), ...[entry.done[shard]].filter((child) => child !== undefined)];
    const witness = behind.find((child) => begun.has(child) || believed.has(child));
    if (witness !== undefined) witnesses.set(shard, witness);
  }
  return witnesses;
}

function withDone(entry: StreamEntry, witnesses: ReadonlyMap<string, string>): StreamEntry {
  if ([...witnesses].every(([shard, child]) => entry.done[shard] === child)) return entry;
  const lost = Object.entries(entry.lost).filter(([shard]) => !witnesses.has(shard));
  return { ...entry, done: { ...entry.done, ...Object.fromEntries(witnesses) }, lost: Object.fromEntries(lost) };
}

/**
 * Without shards that the server lists no more, and that nothing needs: all behind them have begun, so none is read anew and none
 * waits for them, and none on record is believed by them alone. Should the server list one again, those behind it tell that it is done.
 */
function pruned(entry: StreamEntry, begun: ReadonlySet<string>, graph: ShardGraph): StreamEntry {
  let { done, over } = entry;
  const hasBegun = (child: string): boolean => begun.has(child) || child in done || over.includes(child);
  for (;;) {
    const named = new Set(Object.values(done));
    const gone = [...Object.keys(done), ...over].filter(
      (shard) =>
        !begun.has(shard) && !named.has(shard) && graph.isGone(shard) && graph.childrenOf(shard).every(hasBegun),
    );
    if (gone.length === 0) break;
    for (const shard of gone) graph.forget(shard);
    done = Object.fromEntries(Object.entries(done).filter(([shard]) => !gone.includes(shard)));
    over = over.filter((shard) => !gone.includes(shard));
  }
  if (done === entry.done && over === entry.over) return entry;
  const isKept = (shard: string): boolean => done[shard] !== undefined || entry.done[shard] === undefined;
  return { ...entry, done, over, roots: entry.roots.filter(isKept) };
}
