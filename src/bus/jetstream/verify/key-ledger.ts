// Which rows there are by a source's stream, from headers alone, to be held against what the tables hold.

import { formatCollectionName } from "../../../event/collection-name.ts";
import { collectionPlace } from "../../../event/collection-place.ts";
import { unescapeToken } from "../../../event/subject.ts";
import type { AuditMessage } from "./audit.ts";
import { type AuditFinding, auditFinding } from "./audit-finding.ts";
import { GapCopies } from "./gap-copies.ts";

/** What the tables hold, at a moment that the stream has reached; a source's connector takes it. */
export interface HeldKeys {
  /** Whether this change, by `Cdc-Pos` and `Cdc-Tx`, was there at that moment. */
  includes(change: { readonly position: string; readonly transaction: string }): boolean;
  /** Whether the first one began after the other. */
  isAfter(transaction: string, other: string): boolean;
  /** Whether the rows that a gap took were written after what stands before it, by `isAfter`. */
  isDated(gap: { readonly code: unknown }): boolean;
  readonly tables: readonly {
    readonly namespace: string;
    readonly collection: string;
    /** Undefined for a table without a key. A key is as `ce-subject` has it behind the slash. */
    readonly keys: (() => AsyncIterable<readonly { readonly key: string; readonly writtenBy: string }[]>) | undefined;
  }[];
}

/** How a table and the stream compare. */
export interface TableReport {
  readonly namespace: string;
  readonly collection: string;
  /** In the table; undefined for a table without a key, which is not compared. */
  readonly rows: number | undefined;
  /** How many of these the stream has an event of, as it should be. */
  readonly inStream: number;
  /** And how many it says nothing of. */
  readonly notInStream: number;
  /** How many of those were written after the stream's last event before a recorded gap, or may have been: lost in it. */
  readonly lost: number;
  /** By the stream there, and not in the table; and the other way round. */
  readonly gone: number;
  readonly unexpected: number;
}

interface Gap {
  readonly sequence: number;
  /** In words. */
  readonly name: string;
  /** As `Told.name`; undefined: of all tables. */
  readonly collections: readonly string[] | undefined;
  /**
   * The youngest transaction that the stream has before it: of all tables, or of each of its own, for events of others went on meanwhile
   * (where that has none, the stream's first). Undefined where none says when the rows were written.
   */
  behind(table: string): string | undefined;
}

/** Of one collection. */
interface Told {
  /** `namespace.collection` */
  readonly name: string;
  /** The youngest transaction that an event of it names. */
  youngest: string | undefined;
  /** By key: the sequence of the newest event, negative when that one deleted the row. */
  readonly rows: Map<string, number>;
  /** Keys of which a copied row is the newest: it names no transaction, so it may be newer than the tables' moment. */
  readonly copied: Set<string>;
  /** Keys of which the stream has a change that the moment does not show; undefined: perhaps of all. */
  later: Set<string> | undefined;
}

/** Feed it every message in the stream's order. Its memory grows with the number of keys. */
export class KeyLedger {
  readonly #held: HeldKeys;
  readonly #told = new Map<string, Told>();
  /** Of the newest change that the moment shows: copied rows before it were seen before that moment. */
  #shownUpTo = 0;
  readonly #gaps: Gap[] = [];
  readonly #copies = new GapCopies();
  #first: string | undefined;
  #youngest: string | undefined;

  constructor(held: HeldKeys) {
    this.#held = held;
  }

  see({ subject, sequence, header }: AuditMessage): void {
    const [kind, , namespace = "", collection = "", op] = subject.split(".");
    if (kind !== "cdc") return;
    const [schema, table] = [unescapeToken(namespace), unescapeToken(collection)];
    const told = this.#of(schema, table);
    const key = header("ce-subject")?.slice(collectionPlace(schema, table).length + 1) ?? "";
    if (op === "read") {
      told.rows.set(key, sequence);
      told.copied.add(key);
      return;
    }
    const transaction = header("Cdc-Tx");
    if (transaction === undefined) return;
    if (!this.#held.includes({ position: header("Cdc-Pos") ?? "", transaction })) {
      if (op === "truncated") told.later = undefined;
      else told.later?.add(key);
      return;
    }
    this.#shownUpTo = sequence;
    this.#first ??= transaction;
    this.#youngest = this.#younger(transaction, this.#youngest);
    told.youngest = this.#younger(transaction, told.youngest);
    if (op === "truncated") {
      for (const row of told.rows.keys()) told.rows.set(row, -sequence);
      told.copied.clear();
      return;
    }
    told.rows.set(key, op === "deleted" ? -sequence : sequence);
    told.copied.delete(key);
  }

  /** A `gap` marker, with its body. */
  gap(sequence: number, { code, after, upTo, collections }: Readonly<Record<string, unknown>>): void {
    if (code === "TABLE_ADDED") return; // what was written before the table joined is older than the stream
    const named = Array.isArray(collections) ? collections.map(String) : undefined;
    const from = typeof after === "string" ? after : "the beginning";
    const place = named === undefined ? `from ${from} to ${upTo}` : `${code}, up to ${upTo}`;
    const isDated = this.#held.isDated({ code });
    const all = this.#youngest;
    const own = new Map([...this.#told.values()].map(({ name, youngest }) => [name, youngest]));
    const first = this.#first;
    const behind = (table: string): string | undefined => (named === undefined ? all : (own.get(table) ?? first));
    const gap = { sequence, name: `the gap ${place}`, collections: named };
    this.#gaps.push({ ...gap, behind: isDated ? behind : () => undefined });
    if (isDated || named !== undefined) return;
    // Behind it transactions may be counted otherwise.
    this.#youngest = undefined;
    this.#first = undefined;
    for (const told of this.#told.values()) told.youngest = undefined;
  }

  #younger(transaction: string, other: string | undefined): string {
    return other === undefined || this.#held.isAfter(transaction, other) ? transaction : other;
  }

  /** A `backfill` marker, with its body: behind a copy that made a gap good, rows that were not told of again are gone. */
  copy(sequence: number, marker: Readonly<Record<string, unknown>>): void {
    const gone = this.#copies.tell(sequence, marker);
    if (gone === undefined) return;
    for (const { name, rows, copied, later } of this.#told.values()) {
      if (!gone.isOf(name)) continue;
      for (const [key, newest] of rows) {
        if (newest < 0 || newest > gone.mark) continue;
        // Told of again by a change that the moment does not show: before that it may have been there, or not.
        if (later === undefined || later.has(key)) copied.add(key);
        else rows.delete(key);
      }
    }
  }

  /** Reads the tables' keys, one table after the other. Call it once, behind the last message. */
  async *compare(report: (finding: AuditFinding) => void): AsyncGenerator<TableReport> {
    for (const { namespace, collection, keys } of this.#held.tables) {
      const told = this.#of(namespace, collection);
      const { name, rows } = told;
      const counts = { inStream: 0, notInStream: 0, lost: 0, gone: 0, unexpected: 0 };
      if (keys === undefined) {
        yield { namespace, collection, rows: undefined, ...counts };
        continue;
      }
      const gaps = this.#gaps.filter(({ collections }) => collections?.includes(name) ?? true);
      const lost = new Map<Gap, number>();
      for await (const list of keys()) {
        for (const { key, writtenBy } of list) {
          const newest = rows.get(key);
          rows.delete(key);
          if (newest === undefined) {
            counts.notInStream++;
            const gap = gaps.findLast((one) => {
              const behind = one.behind(name);
              return behind === undefined || this.#held.isAfter(writtenBy, behind);
            });
            if (gap !== undefined) lost.set(gap, (lost.get(gap) ?? 0) + 1);
          } else if (newest > 0) counts.inStream++;
          else {
            counts.unexpected++;
            report(auditFinding("ROW_UNEXPECTED", -newest, `a row of ${name} that this event deleted is there`));
          }
        }
      }
      for (const [gap, count] of lost) {
        counts.lost += count;
        report(auditFinding("ROWS_LOST", gap.sequence, lostText(name, gap, count)));
      }
      for (const [key, newest] of rows) {
        if (newest < 0 || this.#mayBeLater(told, key, newest)) continue;
        counts.gone++;
        report(auditFinding("ROW_GONE", newest, `the row of ${name} that this event is about is not there`));
      }
      yield { namespace, collection, rows: counts.inStream + counts.notInStream + counts.unexpected, ...counts };
    }
  }

  /** Whether a copied row may have come, or gone, behind the tables' moment. */
  #mayBeLater({ copied, later }: Told, key: string, newest: number): boolean {
    return copied.has(key) && (later === undefined || later.has(key) || newest > this.#shownUpTo);
  }

  #of(namespace: string, collection: string): Told {
    const place = JSON.stringify([namespace, collection]);
    let told = this.#told.get(place);
    if (told === undefined) {
      told = {
        name: formatCollectionName({ namespace, collection }),
        rows: new Map(),
        copied: new Set(),
        later: new Set(),
        youngest: undefined,
      };
      this.#told.set(place, told);
    }
    return told;
  }
}

function lostText(table: string, { name: gap, behind, collections }: Gap, count: number): string {
  const rows = `${count} ${count === 1 ? "row" : "rows"} of ${table} without an event`;
  if (behind(table) === undefined) return `${rows}: older than the stream, or come by ${gap}`;
  return collections === undefined
    ? `${rows}, written after the last event before ${gap}`
    : `${rows}, written since its last one before ${gap}, or since the stream's first`;
}
