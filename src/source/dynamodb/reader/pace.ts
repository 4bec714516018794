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

const FULL_RECORDS = 900;
const FULL_BYTES = 900_000;
const GROWTH = 1.5;
/** An empty answer does not mean that all was read: so many of them are needed before a shard rests for longer than this. */
const PATIENT_EMPTIES = 60;
const PATIENT_MS = 1_000;
const CLOSED_MS = 20;

export class Pacer {
  readonly #pace: Pace;
  #empties = 0;
  #restMs: number;

  constructor(pace: Pace) {
    this.#pace = pace;
    this.#restMs = pace.minMs;
  }

  /** Milliseconds until it is asked again. */
  next({ records, bytes, closed }: Answer): number {
    const { minMs, maxIdleMs } = this.#pace;
    if (records > 0) {
      this.#empties = 0;
      this.#restMs = minMs;
      return closed || records >= FULL_RECORDS || bytes >= FULL_BYTES ? 0 : minMs;
    }
    const rest = this.#restMs;
    this.#empties++;
    const longest = this.#empties < PATIENT_EMPTIES ? Math.min(PATIENT_MS, maxIdleMs) : maxIdleMs;
    this.#restMs = Math.max(minMs, Math.min(longest, rest * GROWTH));
    return closed ? Math.min(CLOSED_MS * this.#empties, rest) : rest;
  }
}
