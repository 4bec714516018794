// Whether a few transactions of one message each go quicker one by one or as an atomic batch. A server with one replica
// stages a batch in a store of its own (measured on 2.15.1: 3 ms, against 0.24 ms for a lone message); with three, or a
// sync for each write, it may be the other way round. So both are measured.

import type { StreamMessage } from "../../../event/message.ts";
import { isComplete } from "../../../event/position.ts";

/** More than this many always go together. */
const MAX_ONE_BY_ONE = 32;
/** Batches beyond this size say nothing about small ones. */
const MAX_SMALL = 64;
/** The other way is tried, for the server may have changed, once small sends together took so many times what it costs. */
const TRY_OTHER_EVERY = 300;
/** How far one measurement moves what is known. */
const STEP = 1.2;

export class SendTimes {
  #loneMs: number | undefined;
  #batchMs: number | undefined;
  /** What small sends took, by their medians, since the other way was tried. */
  #spentMs = 0;

  /** @param messages how many were sent together; their acknowledgement took this long */
  took(messages: number, ms: number): void {
    if (messages === 1) this.#spentMs += this.#loneMs = median(this.#loneMs, ms);
    else if (messages <= MAX_SMALL) this.#spentMs += this.#batchMs = median(this.#batchMs, ms);
  }

  /** Of what waits for the next send: all, or the first of a few transactions of one message each. */
  share(waiting: readonly StreamMessage[]): readonly StreamMessage[] {
    const few = waiting.length > 1 && waiting.length <= MAX_ONE_BY_ONE;
    const standalone = few && waiting.every(({ position }) => isComplete(position));
    return standalone && this.areQuickerOneByOne(waiting.length) ? waiting.slice(0, 1) : waiting;
  }

  /** @param messages how many wait, each a transaction of its own */
  areQuickerOneByOne(messages: number): boolean {
    if (this.#loneMs === undefined || this.#batchMs === undefined) return false;
    // What a message waits on the average: half of the others go before it, or all of them with it.
    const choice = ((messages + 1) / 2) * this.#loneMs < this.#batchMs;
    if (this.#spentMs < TRY_OTHER_EVERY * (choice ? this.#batchMs : this.#loneMs)) return choice;
    this.#spentMs = 0;
    return !choice;
  }
}

/** A running median, not a mean: what a pause of this process or of the server adds says nothing about either way. */
function median(known: number | undefined, ms: number): number {
  if (known === undefined) return ms;
  return ms > known ? Math.min(ms, known * STEP) : Math.max(ms, known / STEP);
}
