// Time for whoever waits: the clock that the tests replace, the one pause and the one backoff.

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
