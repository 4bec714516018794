// Time for whoever waits: the clock that the tests replace, the one pause, the one backoff and the one wake-up.

export interface Clock {
  /** Ms of a steady clock: for what lasts. */
  now(): number;
  /** Ms since 1970: for what is on record, or is compared with what others wrote. */
  wall(): number;
  /** Resolves after the time, or at once when the signal aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The clock that workers run by. */
export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    }),
};

/**
 * Milliseconds to wait after the n-th failure (from 1): between min·2^(n-1) and twice that, never above max
 * (there between a half of it and all of it), so that what failed together does not come back together.
 */
export function backoffMs(
  { minMs, maxMs }: { readonly minMs: number; readonly maxMs: number },
  failures: number,
  random: () => number = Math.random,
): number {
  const longest = Math.min(maxMs, minMs * 2 ** failures);
  const shortest = Math.max(minMs, longest / 2);
  return shortest + (longest - shortest) * random();
}

/** What the work resolves to; undefined once the time is over, and then nobody waits for it any more. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T | undefined> {
  const done = new AbortController();
  try {
    return await Promise.race([work, clock.sleep(ms, done.signal).then(() => undefined)]);
  } finally {
    done.abort();
  }
}

/** A wake-up between two loops: set it as often as you like, a waiter wakes once. */
export class WakeUp {
  #set = false;
  #resolve: (() => void) | undefined;

  set(): void {
    if (this.#set) return; // whoever waited is told
    this.#set = true;
    this.#resolve?.();
  }

  /** Resolves at the next `set`, at once when it was set since the last wait. */
  async wait(): Promise<void> {
    if (!this.#set) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      this.#resolve = undefined;
    }
    this.#set = false;
  }
}
