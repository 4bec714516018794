// Which rows a copy that made a gap good has told of as gone: docs/wire.md, "A gap that is made good".

/** Rows whose newest message stands before the mark are gone. */
export interface GoneRows {
  readonly mark: number;
  /** @param collection `namespace.collection` */
  isOf(collection: string): boolean;
}

/** Feed it the markers of copies in the stream's order. */
export class GapCopies {
  #begun: { readonly backfill: unknown; readonly mark: number } | undefined;

  /**
   * @param marker body of a `backfill` marker
   * @returns what is gone from here on; undefined where it says nothing of that, or where the copy began before the stream does:
   * then no message is older than its mark
   */
  tell(sequence: number, marker: Readonly<Record<string, unknown>>): GoneRows | undefined {
    const { backfill, state, rows, at, gaps, leftOut, leftOutMore } = marker;
    if (!Array.isArray(gaps) || gaps.length === 0) return undefined;
    if (this.#begun?.backfill !== backfill)
      this.#begun = state === "copying" && rows === 0 && at === undefined ? { backfill, mark: sequence } : undefined;
    if (this.#begun === undefined || state !== "completed") return undefined;
    // Which ones are not whole it could not say of all.
    if (leftOutMore === true) return undefined;
    const names = gaps.map((gap: { readonly collections?: unknown } | null) => gap?.collections);
    const left = new Set(Array.isArray(leftOut) ? leftOut : []);
    const isNamed = (collection: string): boolean =>
      names.some((name) => (Array.isArray(name) ? name.includes(collection) : name === undefined));
    return { mark: this.#begun.mark, isOf: (collection) => isNamed(collection) && !left.has(collection) };
  }
}
