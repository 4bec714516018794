// Time that only a test moves.

import { setImmediate } from "node:timers/promises";
import type { Clock } from "../clock.ts";

/** A clock that stands still until it is moved: then it wakes whoever sleeps by it, each at its time. */
export class VirtualClock implements Clock {
  readonly #began: number;
  #now = 0;
  #sleepers: { at: number; wake: () => void }[] = [];

  /** @param began what `wall()` says at first, ms since 1970 */
  constructor(began = 0) {
    this.#began = began;
  }

  /** Ms that have passed. */
  now(): number {
    return this.#now;
  }

  /** Ms since 1970. */
  wall(): number {
    return this.#began + this.#now;
  }

  /** Resolves once the time has passed, or at once when the signal aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = { at: this.#now + ms, wake: (): void => wake() };
      const wake = (): void => {
        signal?.removeEventListener("abort", wake);
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        resolve();
      };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }

  /** How many wait for a time to come. */
  get sleepers(): number {
    return this.#sleepers.length;
  }

  /** Ms until the next of them wakes; Infinity where nobody waits. */
  get nextMs(): number {
    return Math.min(...this.#sleepers.map(({ at }) => at)) - this.#now;
  }

  /** Lets the time pass, from sleeper to sleeper: each does first what its turn brings. */
  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await setImmediate();
      const next = Math.min(...this.#sleepers.map(({ at }) => at));
      if (next > until) break;
      this.advance(Math.max(0, next - this.#now));
    }
    this.advance(until - this.#now);
    await setImmediate();
  }

  /** Moves the time on at once: all whose time has come by then wake, the earliest first. */
  advance(ms: number): void {
    this.#now += ms;
    const due = this.#sleepers.filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now);
    for (const { wake } of due) wake();
  }
}
