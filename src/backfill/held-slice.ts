// A slice from before it is read until its last row is stored: rows of which a newer event was handed out are taken out of it.

import type { CopiedRow } from "../event/source-event.ts";
import type { CopyTarget, Slice, StreamedChange } from "../source/capabilities.ts";
import type { SourceMessage } from "../source/source.ts";

/** What may be noted while the slice is read; beyond it the slice is read again, with fewer rows. */
const MAX_NOTED_BYTES = 8 * 1024 * 1024;
/** In the body of an update that lacks values, or the whole row; a row with such a text is only read once more. */
const LACKS = [Buffer.from('"unchanged":['), Buffer.from(',"after":null')];
/** About what an entry of a map takes beside its key. */
const ENTRY_BYTES = 150;

interface Touched extends StreamedChange {
  /** Whether it is an update that does not tell all values. */
  readonly lacks: boolean;
}

export class HeldSlice {
  readonly #target: CopyTarget;
  readonly #maxNotedBytes: number;
  /** While it is read: the newest change of each key. That of a later one includes no less than that of one before. */
  #noted = new Map<string, Touched>();
  #notedBytes = 0;
  /** The newest change that emptied the collection, and of a row that cannot be read, or of the collection's definition. */
  #emptied: StreamedChange | undefined;
  #unread: StreamedChange | undefined;
  #slice: Slice | undefined;
  /** By key; undefined where the row was taken out. */
  #rows = new Map<string, CopiedRow | undefined>();
  /** Keys of rows of which a newer event lacks values: the row must be read once more, behind that event. */
  readonly #owed = new Set<string>();
  #fault: "overflowed" | "spoiled" | undefined;

  /** Begins to note: call it before the slice is read. */
  constructor(target: CopyTarget, maxNotedBytes: number = MAX_NOTED_BYTES) {
    this.#target = target;
    this.#maxNotedBytes = maxNotedBytes;
  }

  /**
   * Why nothing more of it may be stored: too much was handed out while it was read, or a row that nobody can read, whose key
   * is not known, or what was done to the whole collection; undefined while it is good.
   */
  get fault(): "overflowed" | "spoiled" | undefined {
    return this.#fault;
  }

  /** Called with all that is handed out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    for (const message of messages) {
      if (message.type === "change" && this.#isOf(message.kind)) {
        const lacks = message.kind.op === "updated" && lacksValues(message.data);
        const change = { position: message.position, transaction: message.transaction.id ?? "", lacks };
        if (message.kind.op === "truncated") this.#emptied = change;
        else this.#touch(message.key, change);
      } else if (message.type === "poison" && this.#isNamed(message)) {
        this.#unread = { position: message.position, transaction: message.transaction?.id ?? "" };
      } else if (message.type === "marker" && message.kind === "ddl" && this.#isDefinedBy(message.data)) {
        this.#unread = { position: message.position, transaction: "" };
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

  /**
   * What may be stored by now of the rows from one index up to and without another, and up to where that is all: it ends before
   * a row that must be read once more. Nothing of one with a fault.
   */
  take(from: number, to: number): { readonly rows: readonly CopiedRow[]; readonly end: number } {
    if (this.#fault !== undefined || this.#slice === undefined) return { rows: [], end: from };
    const asked = this.#slice.rows.slice(from, to);
    const owed = asked.findIndex(({ key }) => this.#owed.has(key));
    const all = owed < 0 ? asked : asked.slice(0, owed);
    return { rows: all.filter((row) => this.#rows.get(row.key) === row), end: from + all.length };
  }

  #touch(key: string, change: Touched): void {
    if (this.#slice !== undefined) {
      if (!this.#rows.has(key) || this.#slice.includes(change)) return;
      this.#rows.set(key, undefined);
      if (change.lacks) this.#owed.add(key);
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
  }

  /** It may have another name by now. */
  #isOf(kind: { readonly namespace: string; readonly collection: string; readonly version?: unknown }): boolean {
    const id = (kind.version as { readonly schema: { readonly id: string } } | undefined)?.schema.id;
    return id === undefined ? this.#isNamed(kind) : id === this.#target.id;
  }

  /** Whether such a marker speaks of the collection, or of more: it may be dropped, renamed, or another one by now. */
  #isDefinedBy(data: Uint8Array): boolean {
    const body = JSON.parse(Buffer.from(data).toString()) as { [name in "namespace" | "collection"]?: string } & {
      readonly to?: { readonly namespace: string; readonly collection: string };
    };
    const { namespace, collection, to } = body;
    if (namespace === undefined || collection === undefined)
      return (namespace ?? this.#target.namespace) === this.#target.namespace;
    return this.#isNamed({ namespace, collection }) || (to !== undefined && this.#isNamed(to));
  }

  #isNamed({ namespace, collection }: { readonly namespace: string; readonly collection: string }): boolean {
    return namespace === this.#target.namespace && collection === this.#target.collection;
  }
}

function lacksValues(data: Uint8Array): boolean {
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return LACKS.some((text) => body.includes(text));
}
