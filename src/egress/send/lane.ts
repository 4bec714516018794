// The turns at one endpoint: so many at once, so many in a time, and none while it has asked to be left alone. Of this worker.

import { Waiting } from "../../automation/outcome/waiting.ts";
import type { Clock } from "../../clock.ts";

/** Nobody waits here for longer. */
const LONGEST_NAP_MS = 5000;

export interface LaneOptions {
  readonly endpoint: string;
  readonly concurrency: number;
  readonly rate: { readonly limit: number; readonly per: number } | undefined;
  readonly clock: Clock;
}

export class Lane {
  readonly #options: LaneOptions;
  /** When the last so many began, oldest first: of the rate. */
  readonly #begun: number[] = [];
  /** Who waits for a turn, in order. */
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #heldUntil = 0;
  #napping = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Nothing begins for so long. */
  hold(ms: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#options.clock.now() + ms);
  }

  /**
   * Resolves when it is our turn, to what ends it.
   * @param patienceMs by then at the latest
   * @throws Waiting where it takes longer: the event comes back then
   */
  async enter(signal: AbortSignal, patienceMs: number): Promise<() => void> {
    const { clock, endpoint } = this.#options;
    if (this.#waiting.size === 0 && this.#pauseMs() === 0) return this.#begin();
    const late = (): Waiting => {
      const pause = this.#pauseMs();
      return new Waiting(`a turn at the endpoint ${endpoint}`, Number.isFinite(pause) ? pause : patienceMs);
    };
    const pause = this.#pauseMs();
    if (Number.isFinite(pause) && pause > patienceMs) throw late();
    const done = new AbortController();
    let mine = false;
    const turn = (): void => {
      mine = true;
      done.abort();
    };
    this.#waiting.add(turn);
    this.#look();
    await clock.sleep(patienceMs, AbortSignal.any([signal, done.signal]));
    this.#waiting.delete(turn);
    // `turn` has counted it already.
    if (mine) return this.#leave();
    signal.throwIfAborted();
    throw late();
  }

  /** How long until one more may begin; Infinity while all places are taken. */
  #pauseMs(): number {
    const { clock, concurrency, rate } = this.#options;
    if (this.#running >= concurrency) return Number.POSITIVE_INFINITY;
    const now = clock.now();
    const held = this.#heldUntil - now;
    const full = rate !== undefined && this.#begun.length >= rate.limit ? (this.#begun[0] ?? 0) + rate.per - now : 0;
    return Math.max(0, held, full);
  }

  #begin(): () => void {
    const { clock, rate } = this.#options;
    this.#running++;
    if (rate !== undefined) {
      this.#begun.push(clock.now());
      if (this.#begun.length > rate.limit) this.#begun.shift();
    }
    return this.#leave();
  }

  #leave(): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#running--;
      this.#look();
    };
  }

  /** Lets those begin who may, and comes back when the next one may. */
  #look(): void {
    for (const turn of this.#waiting) {
      const pause = this.#pauseMs();
      if (pause > 0) {
        if (Number.isFinite(pause)) void this.#nap(Math.min(pause, LONGEST_NAP_MS));
        return;
      }
      this.#waiting.delete(turn);
      this.#begin();
      turn();
    }
  }

  async #nap(ms: number): Promise<void> {
    if (this.#napping) return;
    this.#napping = true;
    await this.#options.clock.sleep(ms);
    this.#napping = false;
    this.#look();
  }
}
