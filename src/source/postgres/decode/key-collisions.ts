// Keys that two rows have for a moment within a transaction: the primary key is checked at its end, or at a statement's. By
// key and in order such rows would be mixed up: the row that goes would take the one with it that has come under its key.

import { createHash } from "node:crypto";
import type { Table } from "./table.ts";
import { TEXT, type Tuple, UNCHANGED } from "./tuple.ts";

/** What comes under more keys within a transaction is forgotten again, the oldest first. */
const MAX_KEYS = 200_000;

export class KeyCollisions {
  /** By table and key: the row that came under it in this transaction, as a digest. */
  readonly #came = new Map<Table, Map<string, string>>();
  #size = 0;

  begin(): void {
    if (this.#size === 0) return;
    this.#came.clear();
    this.#size = 0;
  }

  /** @param old what an unchanged value is taken from */
  came(table: Table, frame: Buffer, row: Tuple, old: Tuple | undefined): void {
    if (!table.keyMayCollide) return;
    const rows = this.#came.get(table) ?? new Map<string, string>();
    this.#came.set(table, rows);
    const key = keyOf(table, frame, row, old);
    if (!rows.has(key)) this.#size++;
    rows.set(key, digest(frame, row, old));
    if (this.#size > MAX_KEYS) this.#forgetOldest();
  }

  /** @returns whether another row has the key by now: then nobody must be told that its row is gone */
  left(table: Table, frame: Buffer, row: Tuple): boolean {
    if (!table.keyMayCollide) return false;
    const rows = this.#came.get(table);
    const key = keyOf(table, frame, row, undefined);
    const came = rows?.get(key);
    if (rows === undefined || came === undefined) return false;
    rows.delete(key);
    this.#size--;
    return came !== digest(frame, row, undefined);
  }

  /** @returns whether it is a row whose key another one has by now: it is to go before the transaction ends */
  changed(table: Table, frame: Buffer, before: Tuple, after: Tuple): boolean {
    if (!table.keyMayCollide) return false;
    const rows = this.#came.get(table);
    const key = keyOf(table, frame, before, undefined);
    const came = rows?.get(key);
    if (rows === undefined || came === undefined) return false;
    if (came !== digest(frame, before, undefined)) return true;
    rows.set(key, digest(frame, after, before));
    return false;
  }

  /** All of its rows go. */
  truncated(table: Table): void {
    this.#size -= this.#came.get(table)?.size ?? 0;
    this.#came.delete(table);
  }

  #forgetOldest(): void {
    for (const rows of this.#came.values()) {
      const oldest = rows.keys().next();
      if (oldest.done === true) continue;
      rows.delete(oldest.value);
      this.#size--;
      return;
    }
  }
}

function keyOf(table: Table, frame: Buffer, row: Tuple, old: Tuple | undefined): string {
  return JSON.stringify(table.keyTexts(frame, row, old));
}

function digest(frame: Buffer, row: Tuple, old: Tuple | undefined): string {
  const hash = createHash("sha1");
  for (let index = 0; index < row.count; index++) {
    const tuple = row.kinds[index] === UNCHANGED && old !== undefined ? old : row;
    const [kind, from, to] = [tuple.kinds[index], tuple.from[index] as number, tuple.to[index] as number];
    hash.update(kind === TEXT ? `${to - from} ` : "- ");
    if (kind === TEXT) hash.update(frame.subarray(from, to));
  }
  return hash.digest("base64");
}
