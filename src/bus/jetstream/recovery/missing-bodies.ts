// Large events in the stream whose bodies are not in the object store: a power cut may take the younger of the two away.
// Each large event, and the first and the last message of each batch, names the large event before it (`Cdc-Large`): so few
// messages are looked at.

import type { Clock } from "../../../clock.ts";
import { type DataRef, dataRefOf } from "../../../event/data-ref.ts";
import type { Positions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { StoredMessage } from "../stream/port.ts";
import { findTail, type Reader, readWithRetry, rollForward, type Tail } from "./stream-tail.ts";

export interface MissingBodiesOptions {
  readonly port: Reader;
  readonly clock: Clock;
  readonly source: SourceId;
  /** Whether the whole body is there. */
  readonly hasBody: (ref: DataRef) => Promise<boolean>;
  /** Where to begin, going back. */
  readonly from: Tail | undefined;
  readonly firstSeq: number;
  /** What stands here or before was durable with its bodies. */
  readonly floorSeq: number;
}

type Walk = Pick<MissingBodiesOptions, "port" | "clock" | "source" | "firstSeq">;

/** The newest large event at or before the stream's end: its sequence, or 0. */
export async function newestLarge(walk: Walk, end: Tail | undefined): Promise<number> {
  const { port, clock } = walk;
  for (let message = end?.message; message !== undefined; ) {
    if (pointsTo(message) !== undefined) return message.seq;
    // A power cut may have taken the end of the batch, and with it the message that tells.
    const told = message.header("Cdc-Large") !== undefined || message.header("Nats-Batch-Commit") !== undefined;
    if (told || Number(message.header("Nats-Batch-Sequence") ?? 1) <= 1) return largeBefore(message);
    const before: number = message.seq - 1;
    message = (await readWithRetry(port, clock, before)) ?? (await findTail(walk, before))?.message;
  }
  return 0;
}

/**
 * The places before the oldest large event whose body is missing: read from there on, the source stores it again.
 * Undefined when none is missing, or nothing is known that stands before.
 */
export async function beforeMissingBodies(options: MissingBodiesOptions): Promise<Positions | undefined> {
  const { port, clock, hasBody, from, firstSeq, floorSeq } = options;
  let oldest: number | undefined;
  for (let seq = await newestLarge(options, from); seq > floorSeq && seq >= firstSeq; ) {
    const message = await readWithRetry(port, clock, seq);
    if (message === undefined) {
      // Whom it named is gone with it: the next message before it tells.
      seq = await newestLarge(options, await findTail(options, seq - 1));
      continue;
    }
    const ref = pointsTo(message);
    if (ref !== undefined && !(await hasBody(ref))) oldest = seq;
    seq = Math.min(largeBefore(message), seq - 1);
  }
  if (oldest === undefined) return undefined;
  return rollForward(options, await findTail(options, oldest - 1), floorSeq);
}

function largeBefore(message: StoredMessage): number {
  const seq = Number(message.header("Cdc-Large") ?? 0);
  return Number.isSafeInteger(seq) ? seq : 0;
}

/** Where a large event's body is; undefined for any other message: a stray one that only looks like it stops nobody. */
export function pointsTo(message: Pick<StoredMessage, "data" | "header">): DataRef | undefined {
  try {
    return dataRefOf(message);
  } catch {
    return undefined;
  }
}
