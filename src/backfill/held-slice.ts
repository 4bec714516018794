// A slice from before it is read until its last row is stored: rows of which a newer event was handed out are taken out of it.

import { isDeepStrictEqual } from "node:util";
import { formatCollectionName } from "../event/collection-name.ts";
import type { CollectionVersion, CopiedRow } from "../event/source-event.ts";
import type { CopyTarget, Slice, StreamedChange } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";
import { isSame } from "./progress.ts";
import { type RowChange, rowChange } from "./row-change.ts";

/** What may be noted while the slice is read; beyond it the slice is read again, with fewer rows. */
const MAX_NOTED_BYTES = 8 * 1024 * 1024;
/** About what an entry of a map takes beside its key. */
const ENTRY_BYTES = 150;

type Touched = StreamedChange & Pick<RowChange, "lacks">;

/** The first change that is of a version of a collection. */
export type Described = StreamedChange & { readonly version: CollectionVersion };

export class HeldSlice {
  readonly #target: CopyTarget;
  readonly #maxNotedBytes: number;
  /** While it is read: the newest change of each key. That of a later one includes no less than that of one before. */
  #noted = new Map<string, Touched>();
  #notedBytes = 0;
  /** The newest change that emptied the collection, and of a row that cannot be read. */
  #emptied: StreamedChange | undefined;
  #unread: StreamedChange | undefined;
  /** Other versions of the collection, and those of another one that has its name. */
  #described: Described[] = [];
  #slice: Slice | undefined;
  /** By key; undefined where the row was taken out. */
  readonly #rows = new Map<string, CopiedRow | undefined>();
  /** Rows of which a newer event lacks values, with that event: the row must be read once more, behind it. */
  readonly #owed = new Map<string, StreamedChange>();
  #fault: "overflowed" | "spoiled" | undefined;

  /** Begins to note: call it before the slice is read. */
  constructor(target: CopyTarget, maxNotedBytes: number = MAX_NOTED_BYTES) {
    this.#target = target;
    this.#maxNotedBytes = maxNotedBytes;
  }

  /**
   * Why nothing more of it may be stored: too much was handed out while it was read, a row that nobody can read, whose key is not
   * known, a change under another definition than its rows have, or a loss of the collection's; undefined while it is good.
   */
  get fault(): "overflowed" | "spoiled" | undefined {
    return this.#fault;
  }

  /** Called with all that is handed out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    for (const message of messages) {
      const change = rowChange(message, this.#target);
      if (change !== undefined) {
        if (change.op === "truncated") this.#emptied = change;
        else this.#touch(change.key, change);
      } else if (message.type === "poison" && isSame(message, this.#target)) {
        this.#unread = { position: message.position, transaction: message.transaction?.id ?? "" };
      } else if (message.type === "marker" && message.kind === "ddl" && this.#isDefinedBy(message.data)) {
        this.#unread = { position: message.position, transaction: "" };
      } else if (message.type === "lost" && message.collections.includes(formatCollectionName(this.#target))) {
        // Whoever is told that it was dropped, renamed or filtered anew must not get rows of before behind that.
        this.#fault ??= "spoiled";
      }
    }
    this.#look();
  }

  /**
   * Called with what is handed out first of each version of a collection: a row of an older one must not stand behind it, nor one of
   * a table whose name another one has by then.
   */
  described(change: Described): void {
    const { schema } = change.version;
    if (schema.id !== this.#target.id && !isSame(schema, this.#target)) return;
    this.#described.push(change);
    this.#look();
  }

  /** It was read: from now on nothing is noted, but taken out. */
  fill(slice: Slice): void {
    this.#slice = slice;
    for (const row of slice.rows) this.#rows.set(row.key, row);
    for (const [key, change] of this.#noted) this.#touch(key, change);
    this.#noted = new Map();
    this.#look();
  }

  /**
   * What may be stored by now of the rows from one index up to and without another, which of them must be read once more, and up to
   * where that is all: it ends before a row that must be and may not. Nothing of one with a fault.
   */
  take(
    from: number,
    to: number,
    mayBeOwed: (key: string) => boolean,
  ): { readonly rows: readonly CopiedRow[]; readonly owed: readonly string[]; readonly end: number } {
    if (this.#fault !== undefined || this.#slice === undefined) return { rows: [], owed: [], end: from };
    const asked = this.#slice.rows.slice(from, to);
    if (this.#owed.size === 0)
      return { rows: asked.filter((row) => this.#rows.get(row.key) === row), owed: [], end: from + asked.length };
    const last = asked.findIndex(({ key }) => this.#owed.has(key) && !mayBeOwed(key));
    const all = last < 0 ? asked : asked.slice(0, last);
    return {
      rows: all.filter((row) => this.#rows.get(row.key) === row),
      owed: all.map(({ key }) => key).filter((key) => this.#owed.has(key)),
      end: from + all.length,
    };
  }

  /** The event that lacks values of a row which must be read once more. */
  owedFor(key: string): StreamedChange | undefined {
    return this.#owed.get(key);
  }

  /** Whether it was read with a row of that key. */
  has(key: string): boolean {
    return this.#rows.has(key);
  }

  #touch(key: string, change: Touched): void {
    if (this.#slice !== undefined) {
      if (!this.#rows.has(key) || this.#slice.includes(change)) return;
      this.#rows.set(key, undefined);
      if (change.lacks) this.#owed.set(key, { position: change.position, transaction: change.transaction });
      else this.#owed.delete(key); // it is whole, or the row is gone
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
    if (this.#emptied !== undefined && !slice.includes(this.#emptied)) {
      this.#rows.clear();
      this.#owed.clear();
    }
    if (this.#unread !== undefined && !slice.includes(this.#unread)) this.#fault ??= "spoiled";
    const ours = slice.version?.schema;
    const isOther = (one: Described): boolean => !slice.includes(one) && !isDeepStrictEqual(one.version.schema, ours);
    if (ours !== undefined && this.#described.some(isOther)) this.#fault ??= "spoiled";
    this.#described = [];
  }

  /** Whether such a marker speaks of the collection, or of more: it may be dropped, renamed, or another one by now. */
  #isDefinedBy(data: Uint8Array): boolean {
    const body = JSON.parse(Buffer.from(data).toString()) as { [name in "namespace" | "collection"]?: string } & {
      readonly to?: { readonly namespace: string; readonly collection: string };
    };
    const { namespace, collection, to } = body;
    if (namespace === undefined || collection === undefined)
      return (namespace ?? this.#target.namespace) === this.#target.namespace;
    return isSame({ namespace, collection }, this.#target) || (to !== undefined && isSame(to, this.#target));
  }
}
