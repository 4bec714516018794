// Rows behind the place of a copy that a consumer may not hold whole: a change lacks values of them, and no slice comes by there
// again. They are read alone. What is owed is in each marker, and no checkpoint passes a change whose row is not in one yet
// (`untilStored`): a worker that begins behind it is not handed that change again.

import { WakeUp } from "../clock.ts";
import type { Position } from "../event/position.ts";
import { comparePlace, type Positions, plainPositions, positionsFrom, WHOLE } from "../event/positions.ts";
import type { CopyTarget, StreamedChange } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";
import type { At } from "./progress.ts";
import { type RowChange, rowChange } from "./row-change.ts";

/** In a marker, which is stored with each batch. */
const MAX_KEYS = 1000;
const MAX_BYTES = 64 * 1024;

/** A row, and the newest change that lacks values of it; undefined: one that was handed out to a worker before. */
export type Owed = readonly [key: string, change: StreamedChange | undefined];

export class OwedRows {
  #target: CopyTarget;
  /** Those that were touched last are last. */
  readonly #keys = new Map<string, StreamedChange | undefined>();
  readonly #maxBytes: number;
  #bytes = 0;
  #isOverflowed: boolean;
  /** Up to here the marker that it was made from knew all: those changes may be handed out again. */
  readonly #known: Positions | undefined;
  readonly #seen: Map<string, Position>;
  /** Whether the copy has passed the last row: then each row is held whole, but for those that are owed. */
  #isBehindAll: boolean;
  /** Whether markers have what is owed; before the first slice is stored all rows are ahead. */
  #isKept: boolean;
  /** Rows of the batch that is on its way. */
  #settling: ReadonlySet<string> = new Set();
  #moving: { readonly key: string; readonly isWhole: boolean } | undefined;
  /** How many times something was owed: in all, in the marker that was made last, and in the stream. */
  #noted = 0;
  #inMarker = 0;
  #stored = 0;
  #waiting: { readonly noted: number; readonly resolve: () => void }[] = [];
  /** Set when somebody waits for a marker. */
  readonly wanted = new WakeUp();

  /**
   * @param at what the newest marker says of the collection; undefined where it has none of its rows
   * @param since keys that are owed for changes which the marker does not know, and which are not handed out again
   */
  constructor(target: CopyTarget, at: At | undefined, maxMessageBytes: number, since: readonly string[] = []) {
    this.#target = target;
    this.#maxBytes = Math.min(MAX_BYTES, maxMessageBytes / 4);
    for (const key of at?.owed ?? []) this.#put(key, undefined);
    this.#isOverflowed = at?.again === true;
    this.#known = at?.seen === undefined ? undefined : positionsFrom(at.seen);
    this.#seen = new Map(this.#known);
    this.#isBehindAll = at?.after === null;
    this.#isKept = at?.after !== undefined;
    for (const key of since) this.#owe(key, undefined);
  }

  /** Whether it is the same collection, under whatever name. */
  isOf({ id }: CopyTarget): boolean {
    return id === this.#target.id;
  }

  /** Of some kinds of source changes are told by the collection's name. */
  renamed(target: CopyTarget): void {
    this.#target = target;
  }

  get size(): number {
    return this.#keys.size;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Whether more was owed than a marker can hold: all must be read again. */
  get isOverflowed(): boolean {
    return this.#isOverflowed;
  }

  /** The keys that are owed for longest. */
  first(most: number): readonly string[] {
    return [...this.#keys.keys()].slice(0, most);
  }

  /** Those of which `slice` shows the newest change that lacks values. */
  *shownBy(slice: { includes(change: StreamedChange): boolean }): Generator<Owed> {
    for (const [key, change] of this.#keys) if (change === undefined || slice.includes(change)) yield [key, change];
  }

  /** How many more rows of a slice may be owed than are: half of all, for changes cannot be put off. */
  get room(): (key: string) => boolean {
    let keys = MAX_KEYS / 2 - this.#keys.size;
    let bytes = this.#maxBytes / 2 - this.#bytes;
    return (key) => {
      if (this.#isOverflowed || this.#keys.has(key)) return true;
      bytes -= key.length;
      return --keys >= 0 && bytes >= 0;
    };
  }

  /** Called with all that is handed out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    for (const message of messages) {
      const change = rowChange(message, this.#target);
      if (change === undefined) continue;
      const { partition = WHOLE, position } = message as { partition?: string; position: Position };
      if (comparePlace({ partition, position }, this.#known) <= 0) continue;
      this.#seen.set(partition, position);
      this.#note(change);
    }
  }

  /** What a marker says of them, with what its batch does to them: ask for it directly before the marker is sent. */
  inMarker(settled: readonly Owed[] = [], added: readonly string[] = []): Pick<At, "owed" | "seen" | "again"> {
    this.#inMarker = this.#noted;
    this.#isKept = true;
    this.#settling = new Set(settled.map(([key]) => key));
    const keys = new Set([...this.#keys.keys()].filter((key) => !this.#settling.has(key)));
    for (const key of added) keys.add(key);
    const wasOwed = keys.size > 0 || this.#noted > 0 || this.#known !== undefined;
    return {
      ...(keys.size > 0 && { owed: [...keys] }),
      ...(wasOwed && this.#seen.size > 0 && { seen: plainPositions(this.#seen) }),
      ...(this.#isOverflowed && { again: true }),
    };
  }

  /** The marker that was made last is in the stream. */
  markerStored({ after }: At): void {
    if (after === undefined) this.#clear();
    this.#isKept = after !== undefined;
    this.#isBehindAll = after === null;
    this.#stored = this.#inMarker;
    this.#wake();
  }

  /** Rows that are in the stream, or are no more; but of which something was handed out since. */
  settle(settled: readonly Owed[]): void {
    for (const [key, change] of settled) if (this.#keys.get(key) === change) this.#drop(key);
    this.#settling = new Set();
  }

  /** A row of a slice that had to be left out. */
  add(key: string, change: StreamedChange): void {
    if (!this.#isOverflowed) this.#put(key, change);
  }

  /** Whether somebody waits for a marker that only comes when it is made for him. */
  get isWanted(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when the stream has all that was owed when it was called; undefined where it has. */
  untilStored(): Promise<void> | undefined {
    const noted = this.#noted;
    if (!this.#isKept || noted <= this.#stored) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push({ noted, resolve });
      this.wanted.set();
    });
  }

  /** Nothing of the collection is owed any more, whatever comes. */
  end(): void {
    this.#isKept = false;
    this.#stored = Number.POSITIVE_INFINITY;
    this.#wake();
  }

  #note({ op, key, lacks, moves, position, transaction }: RowChange): void {
    const change = { position, transaction };
    const moving = this.#moving;
    this.#moving = undefined;
    if (moving !== undefined && !moving.isWhole) this.#drop(moving.key);
    if (op === "truncated") this.#clear();
    else if (moves) {
      // Both halves may not be handed out at once: until the other one comes nothing is complete.
      const isWhole = this.#isBehindAll && !this.#isOverflowed && !this.#keys.has(key);
      this.#moving = { key, isWhole };
      if (!isWhole) this.#owe(key, change);
    } else if (!lacks) this.#drop(key);
    else if (op === "updated") {
      // Behind the place the row is whole or owed already, and ahead of it a slice comes by. One that is on its way stands
      // before the change; where it is sent again it is left out.
      if (this.#keys.has(key) && !this.#settling.has(key)) this.#put(key, change);
    } else if (moving?.isWhole !== true) this.#owe(key, change);
  }

  #owe(key: string, change: StreamedChange | undefined): void {
    this.#noted++;
    if (this.#isOverflowed) return;
    this.#put(key, change);
    if (this.#keys.size <= MAX_KEYS && this.#bytes <= this.#maxBytes) return;
    this.#clear();
    this.#isOverflowed = true;
  }

  #put(key: string, change: StreamedChange | undefined): void {
    this.#drop(key);
    this.#keys.set(key, change);
    this.#bytes += key.length;
  }

  #drop(key: string): void {
    if (this.#keys.delete(key)) this.#bytes -= key.length;
  }

  #clear(): void {
    this.#keys.clear();
    this.#bytes = 0;
    this.#isOverflowed = false;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ noted }) => noted > this.#stored);
    for (const { noted, resolve } of waiting) if (noted <= this.#stored) resolve();
  }
}
