// So many of each key in a time: buckets that fill again steadily, and no more of them than there is room for.

import type { Clock } from "../clock.ts";

export interface Rate {
  readonly limit: number;
  readonly perMs: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Keys that are told apart at most. */
const MAX_KEYS = 10_000;

export class RateLimit {
  readonly #clock: Pick<Clock, "now">;
  readonly #rate: Rate;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, clock: Pick<Clock, "now">) {
    this.#rate = rate;
    this.#clock = clock;
  }

  /** Counts one. @returns 0, or in how many ms the next one is taken: then this one was not counted */
  take(key: string): number {
    const { limit, perMs } = this.#rate;
    const now = this.#clock.now();
    const known = this.#buckets.get(key);
    const filled = known === undefined ? limit : known.tokens + ((now - known.atMs) * limit) / perMs;
    const tokens = Math.min(limit, filled);
    this.#buckets.delete(key); // those that were asked last are the last ones
    this.#makeRoom(now);
    this.#buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs: now });
    return tokens >= 1 ? 0 : ((1 - tokens) * perMs) / limit;
  }

  /** Those that are full again need no memory; then those that have not been asked for longest. */
  #makeRoom(now: number): void {
    if (this.#buckets.size < MAX_KEYS) return;
    const { perMs } = this.#rate;
    for (const [key, { atMs }] of this.#buckets) {
      if (this.#buckets.size < MAX_KEYS && now - atMs < perMs) return;
      this.#buckets.delete(key);
    }
  }
}

/** Whose requests are counted together: an IPv4 address; of IPv6 its network of 64 bits, of which one customer has all. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [before = "", after] = address.split("%", 1)[0]?.split("::") ?? [];
  const front = before === "" ? [] : before.split(":");
  const back = after === undefined || after === "" ? [] : after.split(":");
  const zeros = after === undefined ? 0 : 8 - front.length - back.length;
  return [...front, ...Array<string>(Math.max(0, zeros)).fill("0"), ...back].slice(0, 4).join(":");
}
