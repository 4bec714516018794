// How many messages to hold ready: what the handlers take in a quarter of a second, so that quick ones never wait for the
// server, and slow ones leave to other workers what they would not get to.

import { realClock } from "../../../clock.ts";

const aheadMs = 250;
/** However quick they are. */
export const maxPrefetch = 512;

export class Prefetch {
  readonly #least: number;
  #size: number;
  #finished = 0;
  #sinceMs: number = realClock.now();

  constructor(least: number) {
    this.#least = least;
    this.#size = least;
  }

  /** A handler has ended. */
  finished(): void {
    this.#finished++;
  }

  get size(): number {
    const now = realClock.now();
    const tookMs = now - this.#sinceMs;
    if (tookMs >= aheadMs) {
      const ahead = Math.min((this.#finished * aheadMs) / tookMs, maxPrefetch);
      this.#size = Math.max(this.#least, Math.round(ahead));
      this.#finished = 0;
      this.#sinceMs = now;
    }
    return this.#size;
  }
}
