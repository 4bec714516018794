// Whether the stream moves though the log does: a connection can be alive, answer, and carry nothing for ever. Pure.

import type { Received } from "../replication/replication.ts";

export class Progress {
  #expected = 0n;
  #seen: Received | undefined;
  #stillLooks = 0;

  /** The log has reached this place, and the server can read it there. */
  expect(end: bigint): void {
    if (end > this.#expected) this.#expected = end;
  }

  /** Where the stream must come to; 0 while nothing is known. */
  get expected(): bigint {
    return this.#expected;
  }

  /** At how many looks in a row nothing had moved though it should have. */
  look(received: Received): number {
    const seen = this.#seen;
    const moved = seen === undefined || received.lsn > seen.lsn || received.frames !== seen.frames;
    const due = received.hungry && received.lsn < this.#expected;
    this.#stillLooks = due && !moved ? this.#stillLooks + 1 : 0;
    this.#seen = received;
    return this.#stillLooks;
  }
}
