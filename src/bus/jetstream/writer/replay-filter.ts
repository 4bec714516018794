// What is in the stream already and comes once more, only for the bodies of large events, which are there again now.

import { comparePositions, isComplete, type Position } from "../../../event/position.ts";
import type { QueueItem } from "./writer-queue.ts";

export class ReadAgain {
  #through: Position | undefined;
  readonly #onReached: (through: Position) => void;

  /** @param onReached called when all of it has come, if a transaction ends there */
  constructor(through: Position | undefined, onReached: (through: Position) => void) {
    this.#through = through;
    this.#onReached = onReached;
  }

  /** Whether there is more of it to come. */
  get underWay(): boolean {
    return this.#through !== undefined;
  }

  /** Whether this one is of it: then it is not to be written. */
  has({ position }: QueueItem): boolean {
    const through = this.#through;
    if (through === undefined) return false;
    const order = comparePositions(position, through);
    if (order < 0) return true;
    this.#through = undefined;
    if (order === 0 && isComplete(through)) this.#onReached(through);
    return order === 0;
  }
}
