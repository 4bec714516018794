// Handlers of one process run side by side, but for those that may be what ended a process before: each of them runs alone,
// so that it takes nobody along, and so that its end tells something.

import type { Clock } from "../../clock.ts";

interface Waiting {
  readonly alone: boolean;
  readonly sinceMs: number;
  readonly go: () => void;
}

export class Solitude {
  readonly #clock: Clock;
  #running = 0;
  #alone = false;
  readonly #waiting: Waiting[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined at once, or resolves, when a handler may start; `leave` once it has ended. */
  enter(alone: boolean): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#mayGo(alone)) return this.#go(alone);
    return new Promise((resolve) => {
      // Those that run alone go first, one behind the other: the process is emptied for all of them once.
      const firstOther = this.#waiting.findIndex((one) => !one.alone);
      const at = alone && firstOther >= 0 ? firstOther : this.#waiting.length;
      this.#waiting.splice(at, 0, { alone, sinceMs: this.#clock.now(), go: resolve });
    });
  }

  /** Whether a handler may start beside others now, without waiting; then `leave` once it has ended. */
  enterAtOnce(): boolean {
    if (this.#waiting.length > 0 || !this.#mayGo(false)) return false;
    this.#go(false);
    return true;
  }

  /** For how long the one that has waited longest for others to end has; 0 where none does. */
  get waitingMs(): number {
    const since = this.#waiting.map(({ sinceMs }) => sinceMs);
    return since.length === 0 ? 0 : this.#clock.now() - Math.min(...since);
  }

  leave(): void {
    this.#running--;
    this.#alone = false;
    for (let next = this.#waiting[0]; next && this.#mayGo(next.alone); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#go(next.alone);
      next.go();
    }
  }

  #mayGo(alone: boolean): boolean {
    return !this.#alone && !(alone && this.#running > 0);
  }

  #go(alone: boolean): undefined {
    this.#running++;
    this.#alone = alone;
  }
}
