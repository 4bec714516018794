// How fast a table may be read, by the capacity that its answers say they took.

/** Bytes that one unit of a consistent read is for. */
const UNIT_BYTES = 4096;
/** What fits one batch of the stream. */
const MAX_ITEMS = 999;

export class CapacityRate {
  readonly #maxRcu: number | undefined;
  /** When the next request may be sent, ms of the clock. */
  #nextAt = Number.NEGATIVE_INFINITY;
  /** Of one item, in the mean of the newest page. */
  #itemUnits = 1;

  /** @param maxRcu units a second, in the mean; undefined: as many as there are */
  constructor(maxRcu: number | undefined) {
    this.#maxRcu = maxRcu;
  }

  /** Whether one request waits for the answer to the one before, which says what it took. */
  get isBounded(): boolean {
    return this.#maxRcu !== undefined;
  }

  mayAsk(now: number): boolean {
    return now >= this.#nextAt;
  }

  /** Items on a page, at most: about what may be taken in a second. */
  get items(): number {
    if (this.#maxRcu === undefined) return MAX_ITEMS;
    return Math.max(1, Math.min(MAX_ITEMS, Math.floor(this.#maxRcu / this.#itemUnits)));
  }

  /** @param units undefined where the server does not say: then by the answer's size */
  took(
    { units, bytes, items }: { readonly units: number | undefined; bytes: number; items: number },
    now: number,
  ): void {
    if (this.#maxRcu === undefined) return;
    const taken = units ?? Math.ceil(bytes / UNIT_BYTES);
    if (items > 0) this.#itemUnits = Math.max(1 / MAX_ITEMS, taken / items);
    this.#nextAt = Math.max(now, this.#nextAt) + (taken / this.#maxRcu) * 1000;
  }
}
