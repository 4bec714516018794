// The durable horizon: JetStream acknowledges before it syncs, so what is stored counts as durable only when the server
// syncs always, or after twice its sync interval of time that it is known to have lived through.

import type { Clock } from "../../../clock.ts";

/** "always", or the server's sync interval in ms. */
export type Fsync = "always" | number;

/** A shorter sync interval counts as this one. */
const MIN_FSYNC_MS = 400;

interface Held<T> {
  value: T;
  readonly since: number;
  /** Server time at the first answered ping that was sent after it was stored; undefined until then. */
  at: number | undefined;
  /** Whether later entries may still take its place: no ping has been sent since it was added. */
  open: boolean;
}

/**
 * Entries become durable in the order they were added. Time counts only where it is bracketed by answered pings at most
 * half a sync interval apart: a server that stood still did not sync.
 */
export class Horizon<T> {
  readonly #fsync: Fsync;
  readonly #clock: Clock;
  #held: Held<T>[] = [];
  #lastAnswerMs: number | undefined;
  #serverMs = 0;
  /** Entries ever taken away, and how often all was forgotten. */
  #shifted = 0;
  #clears = 0;

  constructor(fsync: Fsync, clock: Clock) {
    // What is durable later than said is durable; pings closer together than this would be late too often.
    this.#fsync = fsync === "always" ? fsync : Math.max(fsync, MIN_FSYNC_MS);
    this.#clock = clock;
  }

  /** How often the server must be pinged, in ms; undefined when it need not be. */
  get pingEveryMs(): number | undefined {
    return this.#fsync === "always" ? undefined : this.#fsync / 8;
  }

  /** Something was stored just now. Between two pings only the newest is kept, so that few entries wait. */
  add(value: T): void {
    const newest = this.#held.at(-1);
    if (newest?.open && this.#fsync !== "always") newest.value = value;
    else this.#held.push({ value, since: this.#clock.now(), at: undefined, open: true });
  }

  /** A ping is about to be sent; call what it returns when the answer is there. */
  ping(): () => void {
    for (const held of this.#held) held.open = false;
    const stored = this.#shifted + this.#held.length;
    const clears = this.#clears;
    return () => {
      if (clears === this.#clears) this.#answered(stored);
    };
  }

  /** The server may have restarted and lost what waits here: it is forgotten, to be added again once it was seen to be there. */
  clear(): void {
    this.#clears++;
    this.#shifted += this.#held.length;
    this.#held = [];
    this.#lastAnswerMs = undefined;
  }

  /** The newest entry that is durable, it and all before it taken away; undefined when none is. */
  take(): T | undefined {
    let durable: T | undefined;
    while (this.#held[0] !== undefined && this.#isDurable(this.#held[0])) {
      durable = this.#held.shift()?.value;
      this.#shifted++;
    }
    return durable;
  }

  /** How many entries wait, and for how long the oldest has. */
  get waiting(): { readonly marks: number; readonly oldestMs: number } {
    const oldest = this.#held[0];
    return { marks: this.#held.length, oldestMs: oldest ? this.#clock.now() - oldest.since : 0 };
  }

  /** @param stored how many entries had ever been added when the ping was sent */
  #answered(stored: number): void {
    if (this.#fsync === "always") return;
    const now = this.#clock.now();
    const gap = this.#lastAnswerMs === undefined ? Number.POSITIVE_INFINITY : now - this.#lastAnswerMs;
    if (gap <= this.#fsync / 2) this.#serverMs += gap;
    this.#lastAnswerMs = now;
    for (const held of this.#held.slice(0, Math.max(0, stored - this.#shifted))) held.at ??= this.#serverMs;
  }

  #isDurable(held: Held<T>): boolean {
    if (this.#fsync === "always") return true;
    return held.at !== undefined && this.#serverMs - held.at >= 2 * this.#fsync;
  }
}
