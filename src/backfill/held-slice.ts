// A slice from before it is read until its last row is stored: rows of which a newer event was handed out are taken out of it.

import type { CopiedRow } from "../event/source-event.ts";
import type { CopyTarget, Slice, StreamedChange } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";

/** What may be noted while the slice is read; beyond it the slice is read again, with fewer rows. */
const MAX_NOTED_BYTES = 8 * 1024 * 1024;
/** About what an entry of a map takes beside its key. */
const ENTRY_BYTES = 150;

export class HeldSlice {
  readonly #target: CopyTarget;
  readonly #maxNotedBytes: number;
  /** While it is read: the newest change of each key. That of a later one includes no less than that of one before. */
  #noted = new Map<string, StreamedChange>();
  #notedBytes = 0;
  /** The newest change that emptied the collection, and of a row that cannot be read. */
  #emptied: StreamedChange | undefined;
  #unread: StreamedChange | undefined;
  #slice: Slice | undefined;
  /** Rows that are left, by key. */
  #rows = new Map<string, CopiedRow>();
  #fault: "overflowed" | "spoiled" | undefined;

  /** Begins to note: call it before the slice is read. */
  constructor(target: CopyTarget, maxNotedBytes: number = MAX_NOTED_BYTES) {
    this.#target = target;
    this.#maxNotedBytes = maxNotedBytes;
  }

  /**
   * Why nothing more of it may be stored: too much was handed out while it was read, or a row that nobody can read, whose key
   * is not known; undefined while it is good.
   */
  get fault(): "overflowed" | "spoiled" | undefined {
    return this.#fault;
  }

  /** Called with all that is handed out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    for (const message of messages) {
      if (message.type === "change" && this.#isOf(message.kind)) {
        const change = { position: message.position, transaction: message.transaction.id ?? "" };
        if (message.kind.op === "truncated") this.#emptied = change;
        else this.#touch(message.key, change);
      } else if (message.type === "poison" && this.#isNamed(message)) {
        this.#unread = { position: message.position, transaction: message.transaction?.id ?? "" };
      }
    }
    this.#look();
  }

  /** It was read: from now on nothing is noted, but taken out. */
  fill(slice: Slice): void {
    this.#slice = slice;
    this.#rows = new Map(slice.rows.map((row) => [row.key, row]));
    for (const [key, change] of this.#noted) this.#touch(key, change);
    this.#noted = new Map();
    this.#look();
  }

  /** What may be stored by now of the rows from one index up to and without another; none of one with a fault. */
  take(from: number, to: number): readonly CopiedRow[] {
    if (this.#fault !== undefined || this.#slice === undefined) return [];
    return this.#slice.rows.slice(from, to).filter((row) => this.#rows.get(row.key) === row);
  }

  #touch(key: string, change: StreamedChange): void {
    if (this.#slice !== undefined) {
      if (this.#rows.has(key) && !this.#slice.includes(change)) this.#rows.delete(key);
      return;
    }
    if (!this.#noted.has(key)) this.#notedBytes += ENTRY_BYTES + 2 * key.length;
    this.#noted.set(key, change);
    if (this.#notedBytes > this.#maxNotedBytes) {
      this.#fault ??= "overflowed";
      this.#noted = new Map();
    }
  }

  /**
   * Emptied, no row of the slice is left: all that the collection holds since came by events. Of a row that cannot be read it is
   * not known which one it takes out.
   */
  #look(): void {
    const slice = this.#slice;
    if (slice === undefined) return;
    if (this.#emptied !== undefined && !slice.includes(this.#emptied)) this.#rows.clear();
    if (this.#unread !== undefined && !slice.includes(this.#unread)) this.#fault ??= "spoiled";
  }

  /** It may have another name by now. */
  #isOf(kind: { readonly namespace: string; readonly collection: string; readonly version?: unknown }): boolean {
    const id = (kind.version as { readonly schema: { readonly id: string } } | undefined)?.schema.id;
    return id === undefined ? this.#isNamed(kind) : id === this.#target.id;
  }

  #isNamed({ namespace, collection }: { readonly namespace: string; readonly collection: string }): boolean {
    return namespace === this.#target.namespace && collection === this.#target.collection;
  }
}
