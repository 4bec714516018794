// Which rows there are by a source's stream, from headers alone, to be held against what the tables hold.

import { percentEncode } from "../../event/message.ts";
import { unescapeToken } from "../../event/subject.ts";
import type { AuditMessage } from "./audit.ts";
import { type Finding, finding } from "./finding.ts";

/** What the tables hold, at a moment that the stream has reached; a source's connector takes it. */
export interface HeldKeys {
  /** Whether what this transaction (`Cdc-Tx`) did was there at that moment. */
  includes(transaction: string): boolean;
  readonly tables: readonly {
    readonly namespace: string;
    readonly collection: string;
    /** As `ce-subject` has them behind the slash; undefined for a table without a key. */
    readonly keys: (() => AsyncIterable<readonly string[]>) | undefined;
  }[];
}

/** How a table and the stream compare. */
export interface TableReport {
  readonly namespace: string;
  readonly collection: string;
  /** In the table; undefined for a table without a key, which is not compared. */
  readonly rows: number | undefined;
  /** Of these, how many the stream has an event of, as it should be. */
  readonly inStream: number;
  /** And how many it says nothing of: they are older than the stream. */
  readonly notInStream: number;
  /** By the stream there, and not in the table; and the other way round. */
  readonly gone: number;
  readonly unexpected: number;
}

/** Feed it every message in the stream's order. Its memory grows with the number of keys. */
export class KeyLedger {
  readonly #held: HeldKeys;
  /** By collection, then by key: the sequence of the newest event, negative when that one deleted the row. */
  readonly #rows = new Map<string, Map<string, number>>();

  constructor(held: HeldKeys) {
    this.#held = held;
  }

  see({ subject, sequence, header }: AuditMessage): void {
    const [kind, , namespace = "", collection = "", op] = subject.split(".");
    const transaction = header("Cdc-Tx");
    if (kind !== "cdc" || transaction === undefined || !this.#held.includes(transaction)) return;
    const [schema, table] = [unescapeToken(namespace), unescapeToken(collection)];
    const rows = this.#of(schema, table);
    if (op === "truncated") {
      for (const key of rows.keys()) rows.set(key, -sequence);
      return;
    }
    const key = header("ce-subject")?.slice(percentEncode(`${schema}.${table}`).length + 1) ?? "";
    rows.set(key, op === "deleted" ? -sequence : sequence);
  }

  /** Reads the tables' keys, one table after the other. Call it once, behind the last message. */
  async *compare(report: (finding: Finding) => void): AsyncGenerator<TableReport> {
    for (const { namespace, collection, keys } of this.#held.tables) {
      const name = `${namespace}.${collection}`;
      const rows = this.#of(namespace, collection);
      const counts = { inStream: 0, notInStream: 0, gone: 0, unexpected: 0 };
      if (keys === undefined) {
        yield { namespace, collection, rows: undefined, ...counts };
        continue;
      }
      for await (const list of keys()) {
        for (const key of list) {
          const newest = rows.get(key);
          rows.delete(key);
          if (newest === undefined) counts.notInStream++;
          else if (newest > 0) counts.inStream++;
          else {
            counts.unexpected++;
            report(finding("ROW_UNEXPECTED", -newest, `a row of ${name} that this event deleted is there`));
          }
        }
      }
      for (const newest of rows.values()) {
        if (newest < 0) continue;
        counts.gone++;
        report(finding("ROW_GONE", newest, `the row of ${name} that this event is about is not there`));
      }
      yield { namespace, collection, rows: counts.inStream + counts.notInStream + counts.unexpected, ...counts };
    }
  }

  #of(namespace: string, collection: string): Map<string, number> {
    const name = JSON.stringify([namespace, collection]);
    let rows = this.#rows.get(name);
    if (rows === undefined) {
      rows = new Map();
      this.#rows.set(name, rows);
    }
    return rows;
  }
}
