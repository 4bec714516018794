// Timeouts that are all of one length: one timer for the oldest of them, however many run.

export interface Deadline {
  readonly atMs: number;
  readonly passed: () => void;
}

export class Deadlines {
  readonly #afterMs: number;
  /** In the order they were begun, which is the order they pass in. */
  readonly #open = new Set<Deadline>();
  #timer: NodeJS.Timeout | undefined;

  constructor(afterMs: number) {
    this.#afterMs = afterMs;
  }

  /** @param passed called once, unless it is ended before */
  begin(passed: () => void): Deadline {
    const deadline = { atMs: performance.now() + this.#afterMs, passed };
    this.#open.add(deadline);
    if (this.#timer === undefined) this.#wait(this.#afterMs);
    return deadline;
  }

  end(deadline: Deadline): void {
    this.#open.delete(deadline);
  }

  /** It may well fire for one that has ended long ago: that costs less than a timer for each. */
  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = performance.now();
      for (const deadline of this.#open) {
        if (deadline.atMs > now) return this.#wait(deadline.atMs - now);
        this.#open.delete(deadline);
        deadline.passed();
      }
    }, ms);
    this.#timer.unref(); // nothing to wait for at the process' end
  }
}
