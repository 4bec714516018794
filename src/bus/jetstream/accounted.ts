// Up to where a durable has missed nothing, and what left its stream before it was handed out. Pure.

import type { StreamGap } from "../bus.ts";

/** What one look shows: first the stream, then the durable and what waits for it, then the stream once more. */
export interface Look {
  /** When the stream was made: in another one the numbers are others. */
  readonly created: string;
  /** Of what the stream still holds; above `lastSeq` when it holds nothing. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The newest sequence that was handed out. */
  readonly delivered: number;
  /** The next sequence to be handed out; undefined when nothing waits. */
  readonly next: number | undefined;
  /** What the stream's first sequence is in the end: it may have dropped something meanwhile. */
  readonly firstSeqAfter: number;
}

/** As it is kept: all that the durable is to get was handed out, or is to come, up to and including `through`. */
export interface Accounted {
  readonly created: string;
  readonly through: number;
}

/**
 * Numbers that the stream has dropped since they were last accounted for, without having been handed out. The one after
 * `through` is surely of this durable when something waited at the last look; of the others nobody can tell any more.
 * @param known undefined for a durable that is new, or was never looked at: what came before is not asked for
 */
export function missedSince(known: Accounted | undefined, look: Look): StreamGap | undefined {
  if (known === undefined || known.created !== look.created) return undefined;
  const through = Math.max(known.through, look.delivered);
  return look.firstSeq > through + 1 ? { first: through + 1, last: look.firstSeq - 1 } : undefined;
}

/**
 * What is accounted for after a look that found nothing missed. Where the stream dropped something while it was looked at,
 * `next` may stand behind what was missed: then nothing new is, and the next look tells.
 */
export function accountFor(known: Accounted | undefined, look: Look): Accounted {
  const { created, firstSeq, lastSeq, delivered, next, firstSeqAfter } = look;
  const found = Math.max(firstSeq - 1, delivered, next === undefined ? lastSeq : next - 1);
  if (known === undefined || known.created !== created) return { created, through: found };
  const sure = Math.max(known.through, delivered);
  return { created, through: firstSeqAfter > sure + 1 ? sure : Math.max(sure, found) };
}
