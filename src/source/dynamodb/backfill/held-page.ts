// One page of a scan while it is held: the items of which a change is handed out are taken out of it.

import type { CopiedRow } from "../../../event/source-event.ts";
import type { Moment } from "../reader/shard-tip.ts";
import type { EncodedItem } from "./item-encoder.ts";
import { isSamePlace, type SegmentPlace } from "./segment-places.ts";

/** What a row takes beside its body. */
const ROW_BYTES = 500;

interface Held {
  /** Undefined once it is stored, or a change of it was handed out. */
  row: CopiedRow | undefined;
  readonly key: EncodedItem["key"];
}

export class HeldPage {
  /** When all that it shows had been written. */
  readonly moment: Moment;
  /** Where its segment goes on behind it. */
  readonly end: SegmentPlace;
  readonly bytes: number;
  readonly #items: readonly Held[];
  readonly #byKey: ReadonlyMap<string, Held>;

  constructor(items: readonly EncodedItem[], end: SegmentPlace, moment: Moment) {
    this.moment = moment;
    this.end = end;
    this.#items = items.map(({ row, key }) => ({ row, key }));
    this.#byKey = new Map(this.#items.map((item, nth) => [items[nth]?.row.key ?? "", item]));
    this.bytes = items.reduce((sum, { row }) => sum + ROW_BYTES + row.data.length + 2 * row.key.length, 0);
  }

  /** A change of it was handed out, which tells all of it. */
  touch(key: string): void {
    const item = this.#byKey.get(key);
    if (item !== undefined) item.row = undefined;
  }

  get isEmpty(): boolean {
    return this.#items.every(({ row }) => row === undefined);
  }

  /** The first rows that are left, each with where its segment goes on behind it. */
  first(count: number): readonly { readonly row: CopiedRow; readonly place: SegmentPlace }[] {
    const left = this.#items.flatMap(({ row, key }) =>
      row === undefined ? [] : [{ row, place: key as SegmentPlace }],
    );
    const last = left.pop();
    return [...left, ...(last === undefined ? [] : [{ ...last, place: this.end }])].slice(0, count);
  }

  /** What stands up to a place that `first` gave is stored. @returns false where the place is none of them */
  passed(place: SegmentPlace): boolean {
    const at = this.#items.findIndex(({ key }) => isSamePlace(key, place));
    for (const item of this.#items.slice(0, at + 1)) item.row = undefined;
    return at >= 0;
  }
}
