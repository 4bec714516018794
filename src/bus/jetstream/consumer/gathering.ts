// Whether all that an ordered durable has handed out, and that is not settled, is in our hand: only then may anything begin.
// The server's pin alone does not say so: it is gone with a restart, and says nothing of what another worker still has. Pure.

/** What the server says of its durable. */
export interface HandedOut {
  /** Handed out and not settled, to whomever. */
  readonly unsettled: number;
  /** The number of the newest handing-out; they are counted from 1, also those of the same message once more. */
  readonly newest: number;
}

export class Gathering {
  #newest: number | undefined;
  #changes = 0;
  #times = 0;
  #whole = false;

  /** Since which time all is in hand, by number; undefined while it is not. */
  get whole(): number | undefined {
    return this.#whole ? this.#times : undefined;
  }

  /** To be taken before the server is asked, and shown with its answer: what changed meanwhile makes the answer void. */
  get mark(): number {
    return this.#changes;
  }

  /** Something was handed to us. @param number of that handing-out: the one before it that is not ours was another's */
  received(number: number): void {
    if (number !== (this.#newest ?? 0) + 1) this.#whole = false;
    this.#newest = number;
    this.#changes++;
  }

  /** Something in hand was let go, or may be another's. */
  lost(): void {
    this.#whole = false;
    this.#changes++;
  }

  /**
   * Holds what the server said against what is in hand. Both must be equal: with less in hand another worker has some of it,
   * and with more, the server has forgotten that it handed it out, and will again.
   * @param inHand undefined while something is being settled: then the server may count it or not
   */
  judge(mark: number, { unsettled, newest }: HandedOut, inHand: number | undefined): boolean {
    if (mark !== this.#changes || inHand !== unsettled) return false;
    if (this.#newest !== undefined && newest !== this.#newest) return false;
    // Nothing was handed to us yet, and what is in hand is all there is: what comes next must follow on this.
    this.#newest = newest;
    if (!this.#whole) this.#times++;
    this.#whole = true;
    return true;
  }
}
