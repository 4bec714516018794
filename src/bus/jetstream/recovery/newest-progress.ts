// How far a second producer is: what a start goes by, so that none of its batches is stored twice or left out.

import type { SideProgress } from "../../source-stream.ts";
import type { Checkpoint } from "../lease/checkpoint-store.ts";
import { progressOf } from "../stream/own-markers.ts";
import type { StoredMessage } from "../stream/port.ts";
import { readWithRetry, type Walk } from "./stream-tail.ts";

/**
 * What the newest progress marker says. One that somebody published by hand is passed over, as far back as the checkpoint
 * reaches; where the stream keeps none any more, it is what the checkpoint says. With the sequence up to which the producer has heard
 * of all: no checkpoint passes what it must hear of before a marker says that it has.
 * @param newest the last message of the markers' subject
 */
export async function newestProgress(
  { port, clock, source, firstSeq }: Walk,
  newest: StoredMessage | undefined,
  checkpoint: Checkpoint | undefined,
): Promise<{ readonly progress: SideProgress | undefined; readonly seq: number }> {
  const floorSeq = Math.max(checkpoint?.streamSeq ?? 0, firstSeq - 1);
  let message = newest;
  for (let seq = newest?.seq ?? 0; seq > 0; ) {
    const progress = message && progressOf(source, message);
    if (progress !== undefined) return { progress, seq: Math.max(seq, floorSeq) };
    if (--seq <= floorSeq) break;
    message = await readWithRetry(port, clock, seq);
  }
  return { progress: checkpoint?.progress, seq: floorSeq };
}
