// The events that one automation has in hand, by where they stand, and how many of them are in which state.

import type { Delivery } from "../../bus/subscription.ts";
import { ByNumber } from "../../event/by-number.ts";
import type { Job } from "./job.ts";

type Place = Pick<Delivery, "run" | "stream" | "sequence">;

/** Those of one stream, in one run of it, by their sequences. */
interface Shelf {
  readonly stream: string;
  readonly run: string | undefined;
  readonly jobs: ByNumber<Job>;
}

export class InHand {
  readonly #shelves = new Map<string, Shelf>();
  /** Asked for last: the next event is of the same stream as a rule. */
  #shelf: Shelf | undefined;
  readonly #in: Record<Job["state"], number> = { running: 0, hanging: 0, away: 0, settling: 0 };
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many are in a state. */
  in(state: Job["state"]): number {
    return this.#in[state];
  }

  find(place: Place): Job | undefined {
    return this.#shelfOf(place).jobs.get(place.sequence);
  }

  /** One is there that is not in hand. */
  add(job: Job): void {
    this.#shelfOf(job.delivery).jobs.set(job.delivery.sequence, job);
    this.#in[job.state]++;
    this.#size++;
  }

  has(job: Job): boolean {
    return this.find(job.delivery) === job;
  }

  delete(job: Job): void {
    this.#shelfOf(job.delivery).jobs.delete(job.delivery.sequence);
    this.#in[job.state]--;
    this.#size--;
  }

  move(job: Job, state: Job["state"]): void {
    this.#in[job.state]--;
    job.state = state;
    this.#in[state]++;
  }

  *[Symbol.iterator](): IterableIterator<Job> {
    for (const { jobs } of this.#shelves.values()) yield* jobs.values();
  }

  #shelfOf({ stream, run }: Place): Shelf {
    if (this.#shelf?.stream === stream && this.#shelf.run === run) return this.#shelf;
    const key = `${run ?? ""}/${stream}`;
    let shelf = this.#shelves.get(key);
    if (shelf === undefined) {
      for (const [other, { jobs }] of this.#shelves) if (jobs.size === 0) this.#shelves.delete(other);
      shelf = { stream, run, jobs: new ByNumber() };
      this.#shelves.set(key, shelf);
    }
    this.#shelf = shelf;
    return shelf;
  }
}
