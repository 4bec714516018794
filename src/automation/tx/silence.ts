// For how long a database has given tx() no answer: what tells one that is frozen from handlers that take their time.

import type { Clock } from "../../clock.ts";

export class Silence {
  readonly #clock: Clock;
  /** When each wait began; the oldest first. */
  readonly #waits = new Set<{ readonly sinceMs: number }>();
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** tx() begins to wait for the database. Returns what ends the wait; given `true`, it was answered. */
  wait(): (answered: boolean) => void {
    const wait = { sinceMs: this.#clock.now() };
    this.#waits.add(wait);
    return (answered) => {
      if (this.#waits.delete(wait) && answered) this.#answeredMs = this.#clock.now();
    };
  }

  /** Since the oldest wait began, or since the newest answer; 0 while nothing waits. */
  ms(): number {
    const [oldest] = this.#waits;
    return oldest === undefined ? 0 : this.#clock.now() - Math.max(oldest.sinceMs, this.#answeredMs);
  }
}
