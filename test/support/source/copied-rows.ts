// A consumer that applies events and copied rows in the order of the stream, and whatever it must never see there.

import type { Progress } from "../../../src/backfill/progress.ts";
import type { CopiedBody, CopiedDatabase } from "./copied-database.ts";

export type StoredCopy =
  | {
      readonly type: "event";
      readonly body: CopiedBody;
      readonly of: string;
      readonly index: number;
      /** The stream only says that there is a change: what it is, nobody who reads it knows. */
      readonly isUnread: boolean;
    }
  | {
      readonly type: "row";
      readonly body: CopiedBody;
      readonly of: string;
      readonly index?: undefined;
      readonly isUnread?: undefined;
      readonly id: string;
    }
  | { readonly type: "marker"; readonly body: Progress; readonly handed: number };

type Held = { readonly v: number; readonly doc?: string | undefined } | undefined;

export class CopiedRows {
  wrong: string | undefined;
  readonly #rows = new Map<string, Map<string, Held>>();
  readonly #moving = new Map<string, Held>();
  /** The newest version of each row, also of one that is gone. */
  readonly #newest = new Map<string, number>();
  /** Rows that were read since the copy of their collection began. */
  #read = new Set<string>();
  readonly #ids = new Set<string>();
  /** Rows of which the newest change could not be read. */
  readonly #unread = new Set<string>();
  #backfill = 1;
  /** Rows that were neither whole nor owed at a marker, and up to where an event must come that mends it. */
  readonly #suspects = new Map<string, number>();

  constructor(stream: readonly StoredCopy[]) {
    let rows = 0;
    for (const [seq, stored] of stream.entries()) {
      if (stored.type !== "marker") {
        if (stored.type === "row") {
          rows++;
          if (this.#ids.has(stored.id)) this.wrong ??= `${seq}: the id ${stored.id} comes twice`;
          this.#ids.add(stored.id);
        }
        this.#apply(stored, seq);
        this.#judge(stored);
        continue;
      }
      if (stored.body.backfill !== this.#backfill) {
        this.#backfill = stored.body.backfill;
        this.#read = new Set();
        this.#suspects.clear();
        rows = 0;
      }
      this.#look(stored.body, stored.handed);
      if (stored.body.at !== undefined && stored.body.at.after === undefined) this.#read = new Set();
      if (stored.body.rows !== rows) this.wrong ??= `${seq}: ${stored.body.rows} rows are told of ${rows}`;
    }
  }

  differs(database: CopiedDatabase): string | undefined {
    for (const [collection, rows] of database.rows) {
      const held = this.#rows.get(collection) ?? new Map<string, Held>();
      for (const key of new Set([...rows.keys(), ...held.keys()])) {
        if (this.#unread.has(`${collection}/${key}`)) continue;
        const [is, should] = [JSON.stringify(held.get(key)), JSON.stringify(rows.get(key))];
        if (is !== should) return `${collection} ${key} is ${is} and should be ${should}`;
      }
    }
    return undefined;
  }

  /** Behind the place of a copy each row is whole, or owed, or will be by what was handed out before the marker was made. */
  #look({ at }: Progress, handed: number): void {
    if (at?.after === undefined || at.again === true) return;
    for (const [key, row] of this.#rows.get(at.collection) ?? []) {
      const place = `${at.collection}/${key}`;
      const isBehind = at.after === null || key <= String(at.after.key);
      const lacks = isBehind && row?.doc === undefined && at.owed?.includes(key) !== true;
      if (lacks && !this.#suspects.has(place)) this.#suspects.set(place, handed);
    }
  }

  #judge({ index }: Exclude<StoredCopy, { type: "marker" }>): void {
    for (const [place, handed] of this.#suspects) {
      const [collection = "", key = ""] = place.split("/");
      const row = this.#rows.get(collection)?.get(key);
      if (row === undefined || row.doc !== undefined) this.#suspects.delete(place);
      else if ((index ?? 0) >= handed) this.wrong ??= `${index}: ${place} was neither whole nor owed`;
    }
  }

  #apply({ type, body, of, isUnread }: Exclude<StoredCopy, { type: "marker" }>, seq: number): void {
    const rows = this.#rows.get(of) ?? new Map<string, Held>();
    this.#rows.set(of, rows);
    const { op, key, after, unchanged, movedTo, movedFrom } = body;
    const place = `${of}/${key}`;
    if (isUnread === true) {
      // Nobody is told the row; but it was newer than what is read of before.
      this.#newest.set(place, Math.max(after?.v ?? 0, this.#newest.get(place) ?? 0));
      this.#unread.add(place);
      return;
    }
    const wasUnread = this.#unread.delete(place);
    if (type === "row") {
      if (this.#read.has(place)) this.wrong ??= `${seq}: ${place} is read twice`;
      this.#read.add(place);
    }
    if (op === "truncated") {
      rows.clear();
      for (const unread of this.#unread) if (unread.startsWith(`${of}/`)) this.#unread.delete(unread);
      return;
    }
    if (op === "deleted") {
      if (movedTo !== undefined) this.#moving.set(place, rows.get(key));
      rows.delete(key);
      return;
    }
    const { v, doc } = after as NonNullable<typeof after>;
    if (v < (this.#newest.get(place) ?? 0)) this.wrong ??= `${seq}: ${op} of ${place} goes back to ${v}`;
    if (type === "row" && v === this.#newest.get(place) && !rows.has(key) && !wasUnread)
      this.wrong ??= `${seq}: ${place} comes back`;
    this.#newest.set(place, v);
    if (op === "created" && unchanged !== undefined) this.#read.delete(place); // it is owed
    const before = op === "updated" ? rows.get(key) : this.#moving.get(`${of}/${movedFrom}`);
    rows.set(key, { v, doc: unchanged?.includes("doc") ? before?.doc : doc });
  }
}
