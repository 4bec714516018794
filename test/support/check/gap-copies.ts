// What wire.md asks of whoever keeps rows: behind a copy that makes a gap good, rows of which nothing was said since the copy's first
// marker are gone.

export interface CopyMarker extends Readonly<Record<string, unknown>> {
  readonly backfill: number;
  readonly state: string;
  readonly gaps?: readonly { readonly collections?: readonly string[] }[];
  readonly leftOut?: readonly string[];
  readonly leftOutMore?: true;
}

export class GapCopies {
  /** By collection and key, the newest message that was about the row. */
  readonly #said = new Map<string, number>();
  /** Of the copy that is under way, where it began. */
  #begun: { readonly backfill: number; readonly sequence: number } | undefined;

  /** A message about a row. @param collection `namespace.collection` */
  said(collection: string, key: string, sequence: number): void {
    this.#said.set(`${collection} ${key}`, sequence);
  }

  /** A marker of a copy. @returns of which rows it tells that they are gone */
  tell(
    { backfill, state, gaps = [], leftOut = [], leftOutMore }: CopyMarker,
    sequence: number,
  ): (collection: string, key: string) => boolean {
    if (this.#begun?.backfill !== backfill) this.#begun = { backfill, sequence };
    const mark = this.#begun.sequence;
    const isDone = state === "completed" && gaps.length > 0 && leftOutMore === undefined;
    return (collection, key) =>
      isDone &&
      gaps.some(({ collections }) => collections?.includes(collection) ?? true) &&
      !leftOut.includes(collection) &&
      (this.#said.get(`${collection} ${key}`) ?? 0) < mark;
  }
}
