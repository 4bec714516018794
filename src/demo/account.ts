// The demo's books: what the database committed, what the bus holds, what was handled, each counted by itself.

import type { Latency } from "./latency.ts";
import type { IndependentLog, Ledger, ShopChange, ShopDatabase } from "./shop-database.ts";
import type { StreamReader } from "./stream-reader.ts";

/** What `--json` prints. */
export interface DemoSummary {
  /** Row changes, as the writer counted them in the same transactions. */
  readonly committed: number;
  /** Events that a plain consumer finds in the stream. */
  readonly published: number;
  /** Pairs of a change and an automation that listens to it, by the database's own log. */
  readonly expected: number;
  /** Those of them whose handlers have left their effect in the database. */
  readonly handled: number;
  /** And dead letters on the bus. */
  readonly deadLettered: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  /** From the commit to the start of the handler. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface AccountParts {
  readonly ledger: () => Promise<Ledger>;
  readonly log: IndependentLog;
  readonly stream: StreamReader;
  readonly latency: Latency;
  /** How many automations listen to a change, by table and op: `orders.created`. */
  readonly listeners: Readonly<Record<string, number>>;
  readonly order: ShopDatabase["order"];
}

const NEWEST = 6;

export class Account {
  readonly #parts: AccountParts;
  readonly #comparison: Comparison;
  #expected = 0;
  /** What came into the stream last, oldest first: `order_items.created 17`. */
  newest: readonly string[] = [];

  constructor(parts: AccountParts) {
    this.#parts = parts;
    this.#comparison = new Comparison(parts.order === "row" ? rowOf : undefined);
  }

  /** Brings the books up to date. */
  async update(): Promise<DemoSummary> {
    const { ledger, log, stream, latency, listeners } = this.#parts;
    // In this order: whatever was in the stream by now had been committed before, so the log must tell of it.
    const stored = stream.takeEvents();
    const logged = await log.read();
    this.#comparison.committed(logged.map(nameOf));
    this.#comparison.stored(stored.map(nameOf));
    this.newest = [...this.newest, ...stored.map(({ table, op, id }) => `${table}.${op} ${id}`)].slice(-NEWEST);
    for (const { table, op } of logged) this.#expected += listeners[`${table}.${op}`] ?? 0;
    const { committed, handled } = await ledger();
    const [p50Ms = 0, p99Ms = 0] = latency.quantiles(0.5, 0.99);
    return {
      committed,
      published: this.#comparison.published,
      expected: this.#expected,
      handled,
      deadLettered: stream.dead,
      lost: this.#comparison.missing,
      duplicated: this.#comparison.duplicated,
      outOfOrder: this.#comparison.outOfOrder,
      p50Ms: round(p50Ms),
      p99Ms: round(p99Ms),
    };
  }

  /** What is not as it must be once nothing is written any more; empty when all is exact. */
  faults(summary: DemoSummary): readonly string[] {
    return faultsOf(summary, this.#comparison.counted);
  }
}

/** @param logged changes by the database's own log */
export function faultsOf(summary: DemoSummary, logged: number): readonly string[] {
  const { committed, published, expected, handled, deadLettered, lost, duplicated, outOfOrder } = summary;
  const claims: readonly (readonly [holds: boolean, fault: string])[] = [
    [committed > 0, "nothing was committed"],
    [committed === logged, `the ledger has ${committed} changes, the database's own log ${logged}`],
    [published === committed, `${published} of ${committed} changes are in the stream`],
    [lost + duplicated + outOfOrder === 0, `lost ${lost}, duplicated ${duplicated}, out of order ${outOfOrder}`],
    [handled + deadLettered === expected, `${handled} handled and ${deadLettered} dead of ${expected}`],
  ];
  return claims.flatMap(([holds, fault]) => (holds ? [] : [fault]));
}

function nameOf({ transaction, table, op, id }: ShopChange): string {
  return `${transaction}/${table}/${op}/${id}`;
}

/** Of the name of a change. */
function rowOf(name: string): string {
  const [, table, , id] = name.split("/");
  return `${table}/${id}`;
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/** Changes are named by texts that tell them apart. */
export class Comparison {
  /** Committed and not yet seen in the stream, with their place in the log. */
  readonly #missing = new Map<string, number>();
  /** What of one line was committed in an order must be stored in that order. */
  readonly #lineOf: (change: string) => string;
  /** Of each line, the place in the log of the newest change in the stream. */
  readonly #newest = new Map<string, number>();
  #committed = 0;
  published = 0;
  /** In the stream again, or without ever having been committed. */
  duplicated = 0;
  /** In the stream behind a change that was committed later. */
  outOfOrder = 0;

  /** @param lineOf by default there is one order for all changes */
  constructor(lineOf: (change: string) => string = () => "") {
    this.#lineOf = lineOf;
  }

  /** Takes note of what was committed, in the log's order. */
  committed(changes: readonly string[]): void {
    for (const change of changes) this.#missing.set(change, this.#committed++);
  }

  /** Takes note of what the stream holds, in its order. All of it that was committed must have been noted before. */
  stored(changes: readonly string[]): void {
    for (const change of changes) {
      this.published++;
      const place = this.#missing.get(change);
      if (place === undefined) {
        this.duplicated++;
        continue;
      }
      this.#missing.delete(change);
      const line = this.#lineOf(change);
      const newest = this.#newest.get(line) ?? -1;
      if (place < newest) this.outOfOrder++;
      this.#newest.set(line, Math.max(newest, place));
    }
  }

  get counted(): number {
    return this.#committed;
  }

  /** Committed and not in the stream; only at the end does that mean lost. */
  get missing(): number {
    return this.#missing.size;
  }
}
