// How many requests a second were sent within the last minute, and what that comes to.

const SPAN_SECONDS = 60;
const MONTH_SECONDS = 30 * 24 * 3600;

export class RequestRate {
  /** By whole seconds of the clock. */
  readonly #sent = new Map<number, number>();
  #first: number | undefined;

  /** One more. @param now ms of the clock */
  add(now: number): void {
    this.#first ??= now;
    const second = Math.floor(now / 1000);
    this.#sent.set(second, (this.#sent.get(second) ?? 0) + 1);
    for (const old of this.#sent.keys()) {
      if (old > second - SPAN_SECONDS) break; // they stand in the order of time
      this.#sent.delete(old);
    }
  }

  /** Undefined before ten seconds are over: a start asks every shard at once. */
  perSecond(now: number): number | undefined {
    if (this.#first === undefined || now - this.#first < 10_000) return undefined;
    const from = Math.floor(now / 1000) - SPAN_SECONDS;
    const sent = [...this.#sent].filter(([second]) => second > from).reduce((sum, [, count]) => sum + count, 0);
    return sent / Math.min(SPAN_SECONDS, (now - this.#first) / 1000);
  }
}

/** Requests in 30 days, for a person: `15.8 million`. */
export function perMonth(perSecond: number): string {
  const count = perSecond * MONTH_SECONDS;
  return count < 1e6 ? String(Math.round(count)) : `${(count / 1e6).toFixed(1)} million`;
}
