// The one backoff of the project: how long to wait before something is tried again.

/** Doubles from `minMs` to `maxMs`, with a random quarter taken off so that workers do not come in step. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  #tries = 0;

  constructor({ minMs = 500, maxMs = 30_000 }: { readonly minMs?: number; readonly maxMs?: number } = {}) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
  }

  /** The next pause in ms. */
  next(): number {
    const delayMs = Math.min(this.#minMs * 2 ** Math.min(this.#tries++, 20), this.#maxMs);
    return Math.round(delayMs * (1 - Math.random() / 4));
  }

  /** It went well: begin with the shortest pause again. */
  reset(): void {
    this.#tries = 0;
  }
}

/** Resolves after the time, or at once when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
