// A consumer that applies a stream's events in their order, and what it must never see: a row older than one before, a row that is
// read twice, or at the end another content than the table's.

import type { StreamEvent } from "../bus/stream-events.ts";

interface Body {
  readonly op: string;
  readonly key: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
}

/** Each row has a column `v` that grows with each write, of all rows. */
export class CopiedState {
  /** By collection, by the key's JSON, the row. */
  readonly tables = new Map<string, Map<string, Readonly<Record<string, unknown>>>>();
  readonly wrong: string[] = [];
  /** How many rows were read. */
  reads = 0;
  /** Of the newest marker. */
  progress: Readonly<Record<string, unknown>> | undefined;
  readonly #newest = new Map<string, number>();
  readonly #ids = new Set<string>();

  constructor(events: readonly StreamEvent[]) {
    for (const event of events) this.#apply(event);
  }

  #apply({ subject, sequence, text, header }: StreamEvent): void {
    if (subject === "meta.shop.backfill") this.progress = JSON.parse(text);
    if (!subject.startsWith("cdc.")) return;
    const collection = String(subject.split(".")[3]);
    const { op, key, after } = JSON.parse(text) as Body;
    const rows = this.tables.get(collection) ?? new Map();
    this.tables.set(collection, rows);
    const name = JSON.stringify(key);
    const place = `${collection} ${name}`;
    if (op === "truncated") rows.clear();
    else if (op === "deleted") rows.delete(name);
    else if (after !== null) {
      const v = Number(after.v);
      const newest = this.#newest.get(place) ?? 0;
      if (v < newest) this.wrong.push(`${sequence}: ${op} of ${place} goes back from ${newest} to ${v}`);
      this.#newest.set(place, Math.max(v, newest));
      // What an update did not change and is stored apart is as it was.
      rows.set(name, op === "updated" ? { ...rows.get(name), ...after } : after);
    }
    if (op !== "read") return;
    this.reads++;
    const id = header("ce-id") ?? "";
    if (this.#ids.has(id)) this.wrong.push(`${sequence}: ${id} is read twice`);
    this.#ids.add(id);
  }

  /** A table's rows by their keys' JSON. */
  table(collection: string): Readonly<Record<string, unknown>> {
    return Object.fromEntries([...(this.tables.get(collection) ?? [])].sort());
  }
}
