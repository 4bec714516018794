// Which transactions were handed out and cannot be seen yet: a commit is in the log before it is in any snapshot, for as long as
// a synchronous standby is away. docs/decisions/0020 has the argument.

import type { SourceMessage } from "../../source.ts";
import { visibleIn } from "../reselect/snapshot-visibility.ts";

/** Beyond it what was handed out is forgotten, and a new base is needed. */
const MAX_IDS = 100_000;

export class HandedTransactions {
  /** Not yet known to be visible, of all that was handed out since it was begun to note. */
  readonly #ids = new Set<string>();
  readonly #maxIds: number;
  /** A transaction id that was given out after it was begun to note; undefined while nothing is noted. */
  #base: bigint | undefined;
  #isNoting = false;
  #newest: string | undefined;

  constructor(maxIds: number = MAX_IDS) {
    this.#maxIds = maxIds;
  }

  /** Called with all that is handed out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    if (!this.#isNoting) return;
    for (const message of messages) {
      const id = "transaction" in message ? message.transaction?.id : undefined;
      if (id === undefined || id === this.#newest) continue;
      this.#newest = id;
      this.#ids.add(id);
    }
    if (this.#ids.size <= this.#maxIds) return;
    this.#isNoting = false;
    this.#base = undefined;
    this.#ids.clear();
  }

  /**
   * Begins to note, where it does not yet.
   * @param nextId resolves to a transaction id that the server has given out since it was called
   * @param again takes a new base all the same: of a table that was published later, what was written before is not in the log
   */
  async begin(nextId: () => Promise<bigint>, again = false): Promise<void> {
    if (this.#base !== undefined && !again) return;
    this.#isNoting = true;
    const base = await nextId();
    if (this.#isNoting) this.#base = base;
  }

  /** Those handed out by now: what comes from now on whoever reads a snapshot takes note of by himself. */
  mark(): ReadonlySet<string> {
    return new Set(this.#ids);
  }

  /**
   * Why a snapshot may lack a transaction that was handed out before the mark: one of them cannot be seen in it, or one is in progress
   * that may have been handed out before it was begun to note. Undefined where it includes all of them.
   * @param snapshot as Postgres prints it, taken behind the mark
   */
  doubt(snapshot: string, marked: ReadonlySet<string>): "handed out" | "older" | undefined {
    const [xmin = ""] = snapshot.split(":", 1);
    // All ids before the base that are in progress are listed in the snapshot: a later id has ended by then.
    if (this.#base === undefined || BigInt(xmin) <= this.#base) return "older";
    const isVisible = visibleIn(snapshot);
    for (const id of this.#ids) if (isVisible(id)) this.#ids.delete(id);
    for (const id of marked) if (!isVisible(id)) return "handed out";
    return undefined;
  }
}
