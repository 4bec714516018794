// How long a shard rests between two questions. Each is paid for, also one without an answer.

export interface Pace {
  readonly minMs: number;
  readonly maxIdleMs: number;
}

/** What came back: how full it was. */
export interface Answer {
  readonly records: number;
  readonly bytes: number;
  /** The shard gets no more records. */
  readonly closed: boolean;
}

/** So full that more must wait behind it: the server gives 1000 records or a megabyte at most. */
const FULL_RECORDS = 900;
const FULL_BYTES = 900_000;
const GROWTH = 1.5;
/** An empty answer does not mean that all was read: so many of them are needed before a shard rests for longer than this. */
const PATIENT_EMPTIES = 60;
const PATIENT_MS = 1_000;
/** A closed shard's end is looked for at once, for its children wait. */
const CLOSED_MS = 20;
const CLOSED_MOST_MS = 250;
/** Rests are shorter by up to this part, never longer: what asks together does not go on doing so. */
const JITTER = 0.1;

/** A rest of at least this much ends with a beat. */
const LONG_MS = 500;
const BEAT_MS = 50;

/** Ends a long rest with the beat before its end: a few questions at once cost a process a third less than each by itself. @param nowMs of the clock */
export function toBeat(restMs: number, nowMs: number): number {
  return restMs < LONG_MS ? restMs : restMs - ((nowMs + restMs) % BEAT_MS);
}

export class Pacer {
  readonly #pace: Pace;
  readonly #random: () => number;
  #empties = 0;
  #restMs: number;
  #spread = false;

  /** @param random between 0 and 1 */
  constructor(pace: Pace, random: () => number = Math.random) {
    this.#pace = pace;
    this.#random = random;
    this.#restMs = pace.minMs;
  }

  /** Milliseconds until it is asked again. */
  next({ records, bytes, closed }: Answer): number {
    if (records > 0) {
      this.#empties = 0;
      this.#restMs = this.#pace.minMs;
      return closed || records >= FULL_RECORDS || bytes >= FULL_BYTES ? 0 : this.#blurred(this.#pace.minMs);
    }
    this.#empties++;
    if (closed) return Math.min(CLOSED_MS * this.#empties, CLOSED_MOST_MS);
    const rest = this.#restMs;
    const { minMs, maxIdleMs } = this.#pace;
    const longest = this.#empties < PATIENT_EMPTIES ? Math.min(PATIENT_MS, maxIdleMs) : maxIdleMs;
    this.#restMs = Math.max(minMs, Math.min(longest, rest * GROWTH));
    return this.#blurred(rest);
  }

  /** The first rest is of any length: all shards of a source begin at once. */
  #blurred(rest: number): number {
    const part = this.#spread ? JITTER : 1;
    this.#spread = true;
    return rest * (1 - part * this.#random());
  }
}
