// What is in the stream already and comes once more, only for the bodies of large events, which are there again now.

import { comparePlace, type Positions, placesBehind, positionsAt } from "../../../event/positions.ts";
import type { QueueItem } from "./writer-queue.ts";

export class ReadAgain {
  #through: Positions | undefined;
  readonly #onReached: () => void;

  /** @param onReached called when all of it has come */
  constructor(through: Positions | undefined, onReached: () => void) {
    this.#through = through;
    this.#onReached = onReached;
  }

  /** Whether there is more of it to come. */
  get underWay(): boolean {
    return this.#through !== undefined;
  }

  /** Whether this one is of it: then it is not to be written. */
  has(item: QueueItem): boolean {
    if (this.#through === undefined) return false;
    const order = comparePlace(item, this.#through);
    if (order < 0) return true;
    this.#through = placesBehind(this.#through, positionsAt(item));
    if (this.#through === undefined) this.#onReached();
    return order === 0;
  }
}
