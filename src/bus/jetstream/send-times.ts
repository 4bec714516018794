// Whether a few transactions of one message each go quicker one by one or as an atomic batch. A server with one replica
// stages a batch in a store of its own (measured on 2.15.1: 3 ms, against 0.24 ms for a lone message); with three, or a
// sync for each write, it may be the other way round. So both are measured.

/** More than this many always go together. */
export const MAX_ONE_BY_ONE = 32;
/** Batches beyond this size say nothing about small ones. */
const MAX_SMALL = 64;
/** Every so often the other way is tried, for the server may have changed. */
const TRY_OTHER_EVERY = 64;
/** The weight of the newest measurement. */
const NEWEST = 0.1;

export class SendTimes {
  #loneMs: number | undefined;
  #batchMs: number | undefined;
  #choices = 0;

  /** @param messages how many were sent together; their acknowledgement took this long */
  took(messages: number, ms: number): void {
    if (messages === 1) this.#loneMs = mean(this.#loneMs, ms);
    else if (messages <= MAX_SMALL) this.#batchMs = mean(this.#batchMs, ms);
  }

  /** @param messages how many wait, each a transaction of its own */
  areQuickerOneByOne(messages: number): boolean {
    if (this.#loneMs === undefined || this.#batchMs === undefined) return false;
    // What a message waits on the average: half of the others go before it, or all of them with it.
    const choice = ((messages + 1) / 2) * this.#loneMs < this.#batchMs;
    return ++this.#choices % TRY_OTHER_EVERY === 0 ? !choice : choice;
  }
}

function mean(known: number | undefined, ms: number): number {
  return known === undefined ? ms : known + NEWEST * (ms - known);
}
