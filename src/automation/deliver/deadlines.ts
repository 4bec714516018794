// Timeouts that are all of one length: one timer for the oldest of them, however many run.

import type { Clock } from "../../clock.ts";
import { TransientError } from "../../errors.ts";

export interface Deadline {
  readonly atMs: number;
  passed: () => void;
}

const over = (): void => {};

export class Deadlines {
  readonly #afterMs: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  /** In the order they were begun, which is the order they pass in. */
  readonly #open = new Set<Deadline>();
  #waits = false;

  /** @param signal from its abort on none passes */
  constructor(afterMs: number, clock: Clock, signal: AbortSignal) {
    this.#afterMs = afterMs;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** @param passed called once, unless it is ended before */
  begin(passed: () => void): Deadline {
    const deadline = { atMs: this.#clock.now() + this.#afterMs, passed };
    this.#open.add(deadline);
    if (!this.#waits) void this.#wait();
    return deadline;
  }

  /** Whether it had passed by then, though nobody may have been told yet: a process can be too busy for its timers. */
  end(deadline: Deadline): boolean {
    this.#open.delete(deadline);
    deadline.passed = over; // or a table that the set has left behind would keep hold of the event (see ByNumber)
    return this.#clock.now() >= deadline.atMs;
  }

  /** It may well wake for one that has ended long ago: that costs less than a timer for each. */
  async #wait(): Promise<void> {
    this.#waits = true;
    for (let ms = this.#afterMs; ms > 0; ms = this.#next()) await this.#clock.sleep(ms, this.#signal);
    this.#waits = false;
  }

  /** Tells those that have passed; for how long to wait for the next one, 0 when there is none. */
  #next(): number {
    if (this.#signal.aborted) return 0;
    const now = this.#clock.now();
    for (const deadline of this.#open) {
      if (deadline.atMs > now) return deadline.atMs - now;
      this.#open.delete(deadline);
      deadline.passed();
    }
    return 0;
  }
}

/** What an attempt fails by at its timeout. */
export function timeoutError(timeoutMs: number): TransientError {
  return new TransientError("AUTOMATION_TIMEOUT", `the handler took longer than ${timeoutMs} ms`, {
    hint: "give `signal` to what the handler waits for, or raise the automation's timeout",
  });
}
