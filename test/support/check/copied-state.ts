// A consumer that applies a stream's events in their order, and what it must never see: a row older than one before, a row that is
// read twice, or at the end another content than the table's.

import type { StreamEvent } from "../bus/stream-events.ts";
import { type CopyMarker, GapCopies } from "./gap-copies.ts";

interface Body {
  readonly op: string;
  readonly key: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly unchanged?: readonly string[];
  readonly movedTo?: unknown;
  readonly movedFrom?: unknown;
}

/** Each row has a column `v` that grows with each write, of all rows. */
export class CopiedState {
  /** By collection, by the key's JSON, the row. */
  readonly tables = new Map<string, Map<string, Readonly<Record<string, unknown>>>>();
  readonly wrong: string[] = [];
  /** How many rows were read, and how many messages there were in all. */
  reads = 0;
  applied = 0;
  /** Rows that were gone without an event, as the end of a copy told. */
  dropped = 0;
  /** Of the newest marker. */
  progress: CopyMarker | undefined;
  readonly #newest = new Map<string, number>();
  readonly #copies = new GapCopies();
  /** `namespace.collection`, by collection. */
  readonly #names = new Map<string, string>();
  /** Rows whose key was changed, by the old one. */
  readonly #moving = new Map<string, Readonly<Record<string, unknown>> | undefined>();
  readonly #ids = new Set<string>();

  constructor(events: readonly StreamEvent[] = []) {
    for (const event of events) this.apply(event);
  }

  apply({ subject, sequence, text, header }: StreamEvent): void {
    this.applied++;
    if (subject === "meta.shop.backfill") this.#tell(JSON.parse(text) as CopyMarker, sequence);
    if (!subject.startsWith("cdc.")) return;
    const [, , namespace, collection = ""] = subject.split(".");
    const { op, key, after, unchanged = [], movedTo, movedFrom } = JSON.parse(text) as Body;
    const rows = this.tables.get(collection) ?? new Map();
    this.tables.set(collection, rows);
    const name = JSON.stringify(key);
    const place = `${collection} ${name}`;
    this.#names.set(collection, `${namespace}.${collection}`);
    this.#copies.said(`${namespace}.${collection}`, name, sequence);
    if (op === "truncated") rows.clear();
    else if (op === "deleted") {
      if (movedTo !== undefined) this.#moving.set(place, rows.get(name));
      rows.delete(name);
    } else if (after !== null) {
      const v = Number(after.v);
      const newest = this.#newest.get(place) ?? 0;
      if (v < newest) this.wrong.push(`${sequence}: ${op} of ${place} goes back from ${newest} to ${v}`);
      this.#newest.set(place, Math.max(v, newest));
      // What did not change and is stored apart is as it was, of a changed key under the old one.
      const from = `${collection} ${JSON.stringify(movedFrom)}`;
      const before = op === "updated" ? rows.get(name) : movedFrom === undefined ? undefined : this.#moving.get(from);
      this.#moving.delete(from);
      const kept = unchanged.filter((column) => before !== undefined && column in before);
      rows.set(name, { ...Object.fromEntries(kept.map((column) => [column, before?.[column]])), ...after });
    }
    if (op !== "read") return;
    this.reads++;
    const id = header("ce-id") ?? "";
    if (this.#ids.has(id)) this.wrong.push(`${sequence}: ${id} is read twice`);
    this.#ids.add(id);
  }

  #tell(marker: CopyMarker, sequence: number): void {
    this.progress = marker;
    const isGone = this.#copies.tell(marker, sequence);
    for (const [collection, rows] of this.tables)
      for (const key of rows.keys())
        if (isGone(this.#names.get(collection) ?? "", key)) {
          rows.delete(key);
          this.dropped++;
        }
  }

  /** A table's rows by their keys' JSON. */
  table(collection: string): Readonly<Record<string, unknown>> {
    return Object.fromEntries([...(this.tables.get(collection) ?? [])].sort());
  }
}
