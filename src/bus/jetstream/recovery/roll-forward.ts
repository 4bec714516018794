// How far each partition is by the end of a stream: the newest message tells of its own alone, so the others are read back.

import { laterPositions, type Positions, positionsAt } from "../../../event/positions.ts";
import { placeOf, resumedAt } from "../stream/own-markers.ts";
import { readWithRetry, type Tail, type Walk } from "./stream-tail.ts";

/**
 * The newest places from `end` back to what a checkpoint covers, or to a `history` marker, which names them all; undefined
 * where the stream has none. A source without partitions is where `end` is.
 * @param floorSeq what stands here or before is in the checkpoint
 */
export async function rollForward(walk: Walk, end: Tail | undefined, floorSeq: number): Promise<Positions | undefined> {
  if (end === undefined) return undefined;
  const { port, clock, source, firstSeq } = walk;
  let reached = positionsAt(end.place);
  if (end.place.partition === undefined) return reached;
  for (let { seq } = end.message; seq > floorSeq && seq >= firstSeq; seq--) {
    const message = seq === end.message.seq ? end.message : await readWithRetry(port, clock, seq);
    if (message === undefined) continue;
    const place = placeOf(source, message);
    if (place !== undefined) reached = laterPositions(reached, positionsAt(place));
    const resumed = resumedAt(source, message);
    if (resumed !== undefined) return laterPositions(reached, resumed ?? undefined);
  }
  return reached;
}
