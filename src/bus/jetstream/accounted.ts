// Up to where a durable has settled all that is its own, and what left its stream before that. Pure.

import type { StreamGap } from "../bus.ts";

/** What one look shows: first the stream, then the durable and what waits for it, then the stream once more. */
export interface Look {
  /** When the stream was made: in another one the numbers are others. */
  readonly created: string;
  /** Of what the stream still holds; above `lastSeq` when it holds nothing. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** All of the durable's own up to here is settled; undefined when nothing that was handed out is unsettled. */
  readonly ackFloor: number | undefined;
  /** The next sequence to be handed out; undefined when nothing waits. */
  readonly next: number | undefined;
  /** What the stream's first sequence is in the end: it may have dropped something meanwhile. */
  readonly firstSeqAfter: number;
}

/** As it is kept: all that is the durable's own up to and including `through` is settled. */
export interface Accounted {
  readonly created: string;
  readonly through: number;
}

/**
 * Numbers that the stream has dropped without their being accounted for; told at each look until `through` stands behind
 * them. Not by what was handed out since: that may have begun behind the gap, and what a killed worker had in hand is not
 * handed out again once it is dropped.
 * @param known undefined for a durable that is new, or was never looked at: what came before is not asked for
 */
export function missedSince(known: Accounted | undefined, { created, firstSeq }: Look): StreamGap | undefined {
  if (known === undefined || known.created !== created || firstSeq <= known.through + 1) return undefined;
  return { first: known.through + 1, last: firstSeq - 1 };
}

/**
 * What is accounted for after a look that found nothing missed. Where the stream dropped something while it was looked at,
 * `next` may stand behind what was missed: then nothing new is, and the next look tells.
 */
export function accountFor(known: Accounted | undefined, look: Look): Accounted {
  const { created, firstSeq, lastSeq, ackFloor, next, firstSeqAfter } = look;
  const settled = ackFloor ?? (next === undefined ? lastSeq : next - 1);
  if (known === undefined || known.created !== created) return { created, through: Math.max(firstSeq - 1, settled) };
  const dropped = firstSeqAfter > known.through + 1;
  return { created, through: dropped ? known.through : Math.max(known.through, settled) };
}
