// Two lists of the same changes, the database's own and the stream's, compared while both grow.

/** Changes are named by texts that tell them apart. */
export class Comparison {
  /** Committed and not yet seen in the stream, with their place in the log. */
  readonly #missing = new Map<string, number>();
  #committed = 0;
  #newest = -1;
  published = 0;
  /** In the stream again, or without ever having been committed. */
  duplicated = 0;
  /** In the stream behind a change that was committed later. */
  outOfOrder = 0;

  /** Takes note of what was committed, in the log's order. */
  committed(changes: readonly string[]): void {
    for (const change of changes) this.#missing.set(change, this.#committed++);
  }

  /** Takes note of what the stream holds, in its order. All of it that was committed must have been noted before. */
  stored(changes: readonly string[]): void {
    for (const change of changes) {
      this.published++;
      const place = this.#missing.get(change);
      if (place === undefined) {
        this.duplicated++;
        continue;
      }
      this.#missing.delete(change);
      if (place < this.#newest) this.outOfOrder++;
      this.#newest = Math.max(this.#newest, place);
    }
  }

  get counted(): number {
    return this.#committed;
  }

  /** Committed and not in the stream; only at the end does that mean lost. */
  get missing(): number {
    return this.#missing.size;
  }
}
