// The keys of the items of one table that changes were handed out of lately: an item that is read just then may be older than they are.

/** About what an entry of a map takes beside its key. */
const ENTRY_BYTES = 150;

export class TouchedKeys {
  readonly #maxBytes: number;
  /** When a change of it was handed out last, ms of the clock; the oldest first. */
  readonly #at = new Map<string, number>();
  #bytes = 0;
  /** From when on it knows all. */
  #since: number;

  /** @param now ms of the clock: it knows of what is handed out from now on */
  constructor(now: number, maxBytes: number) {
    this.#since = now;
    this.#maxBytes = maxBytes;
  }

  /** A change of it is handed out. */
  touch(key: string, now: number): void {
    if (!this.#at.delete(key)) this.#bytes += sizeOf(key);
    this.#at.set(key, now);
    if (this.#bytes > this.#maxBytes) this.restart(now);
  }

  /** Knows of nothing but what is handed out from now on. */
  restart(now: number): void {
    this.#at.clear();
    this.#bytes = 0;
    this.#since = now;
  }

  /** Nobody asks any more for what was handed out before. */
  forgetBefore(ms: number): void {
    for (const [key, at] of this.#at) {
      if (at >= ms) return;
      this.#at.delete(key);
      this.#bytes -= sizeOf(key);
    }
  }

  /** Whether it knows of all that was handed out since. */
  knowsSince(ms: number): boolean {
    return this.#since <= ms;
  }

  /** Whether a change of it was handed out since. */
  has(key: string, ms: number): boolean {
    const at = this.#at.get(key);
    return at !== undefined && at >= ms;
  }
}

function sizeOf(key: string): number {
  return ENTRY_BYTES + 2 * key.length;
}
