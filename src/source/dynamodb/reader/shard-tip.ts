// Whether all that a shard took until a moment was handed out. Nothing in DynamoDB says so: what tells is a record that was made
// behind the moment, or that nothing more was there when it was asked some time behind it. docs/decisions/0020 has the argument.

/** When something was read of a table. */
export interface Moment {
  /** When the answer had come, ms of the clock. */
  readonly now: number;
  /** The same by the server's clock, ms since 1970. */
  readonly wall: number;
}

export class ShardTip {
  /** Pages that were fetched and are not handed out whole. */
  #waiting = 0;
  /** When the newest answer was asked for, where it had nothing. */
  #emptyAt: number | undefined;
  /** The first of the newest two in a row that had nothing: one alone may come though more is there. */
  #tipAt = Number.NEGATIVE_INFINITY;
  #ended = false;
  /** When the newest record that was handed out was made, by the server's clock; undefined where none was. */
  createdMs: number | undefined;

  /** @param askedAt ms of the clock @param isSome whether it is to be handed out: records, or the end */
  fetched(askedAt: number, isSome: boolean): void {
    if (isSome) this.#waiting++;
    else if (this.#emptyAt !== undefined) this.#tipAt = this.#emptyAt;
    this.#emptyAt = isSome ? undefined : askedAt;
  }

  /** @param createdMs of the newest record of the page; undefined without @param ended it was the shard's last page */
  handedOut(createdMs: number | undefined, ended: boolean): void {
    this.#waiting--;
    this.createdMs = createdMs ?? this.createdMs;
    this.#ended ||= ended;
  }

  /** Whether something that it took until the moment may still come. @param delayMs how much later that may be, at most */
  isBehind({ now, wall }: Moment, delayMs: number): boolean {
    if (this.#ended) return false;
    if (this.createdMs !== undefined && this.createdMs >= wall + delayMs) return false;
    return this.#waiting > 0 || this.#tipAt < now + delayMs;
  }
}
