// A database as a test writes it down: transactions in one log, or in several partitions that are read side by side, each
// time in another order. It knows what it was told it may forget, and counts who asks for that again.

import { MAX_BATCH_BYTES } from "../../../src/bus/jetstream/writer/writer-queue.ts";
import type { Clock } from "../../../src/clock.ts";
import { bare, comparePositions, isComplete, type Position } from "../../../src/event/position.ts";
import {
  comparePlace,
  laterPositions,
  type Place,
  type Positions,
  placesOf,
  WHOLE,
} from "../../../src/event/positions.ts";
import type { Change, ChangeKind, Transaction } from "../../../src/event/source-event.ts";
import type { Commit, Ended, Source } from "../../../src/source/source.ts";
import type { Random } from "./scripted-bus.ts";

export interface ScriptedSourceOptions {
  readonly random: Random;
  readonly clock: Clock;
  /** Names of its partitions; none: it has no partitions. */
  readonly partitions: readonly string[];
  /** Of partitions that begin behind the end of another one: which. Their parents end. */
  readonly parents?: Readonly<Record<string, string>>;
  /** Of all partitions together. */
  readonly transactions: number;
  /** Whether an atomic batch holds no more than one event of a transaction that has several. */
  readonly wide: boolean;
}

interface ScriptedTransaction {
  readonly partition: string | undefined;
  readonly final: number;
  readonly positions: readonly Position[];
}

const KIND: ChangeKind = { namespace: "public", collection: "t", op: "created", version: undefined };
const TRANSACTION: Transaction = { id: undefined, time: "2026-01-01T00:00:00.000000Z", lineage: undefined };
const BODY = Buffer.from("{}");
const WIDE_BODY = Buffer.alloc(0.6 * MAX_BATCH_BYTES, " ");

/** What a reading goes by beside its place. */
export interface ScriptedReading {
  /** Partitions that are over, by the memory of the source. */
  readonly over: ReadonlySet<string>;
  /** Ends that are to be handed out; filled meanwhile. */
  readonly ends: Ended[];
}

const hex = (n: number): string => n.toString(16).padStart(16, "0");
const finalOf = (position: Position): number => Number.parseInt(position.slice(5, 21), 16);

export class ScriptedSource implements Pick<Source, "acknowledge"> {
  /** How often it was read from a place behind which it had been told to forget something. */
  gaps = 0;
  readonly transactions: readonly ScriptedTransaction[];
  readonly #options: ScriptedSourceOptions;
  readonly #names: readonly (string | undefined)[];
  #acknowledged: Positions | undefined;

  constructor(options: ScriptedSourceOptions) {
    const { random, partitions, transactions } = options;
    this.#options = options;
    this.#names = partitions.length === 0 ? [undefined] : partitions;
    // Every third LSN pair leaves room for idle advances.
    this.transactions = Array.from({ length: transactions }, (_, n) => {
      const open = this.#names.filter((name) => this.#isOpen(name, n < transactions / 3));
      const partition = open[random.below(open.length)];
      const final = (n + 1) * 16;
      const changes = random.chance(0.6) ? 1 : 2 + random.below(3);
      const positions = Array.from({ length: changes }, (_, change) =>
        this.#position(partition, final, change, change === changes - 1),
      );
      return { partition, final, positions };
    });
  }

  /** The positions of all events of each partition, in its order. */
  get wanted(): readonly (readonly Position[])[] {
    return this.#names.map((name) =>
      this.transactions.filter(({ partition }) => partition === name).flatMap(({ positions }) => positions),
    );
  }

  /** How far the log is once so many transactions are committed, or a little further, where nothing stands. */
  reachedBy(transactions: number, further: number): Positions {
    const committed = this.transactions.slice(0, transactions);
    return new Map(
      committed.map(({ partition, final }) => [
        partition ?? WHOLE,
        this.#position(partition, final + further, 9, true),
      ]),
    );
  }

  /** The last event at or before a place; undefined when there is none. */
  lastUpTo({ partition, position }: Place): Position | undefined {
    return this.wanted[this.#names.indexOf(partition)]?.findLast((one) => comparePositions(one, position) <= 0);
  }

  /** The ends of partitions that are read whole at these places. */
  endedAt(positions: Positions): readonly Ended[] {
    return [...new Set(Object.values(this.#options.parents ?? {}))].flatMap((partition) => {
      const position = this.#lastOf(partition);
      const isEnd = positions.has(partition) && position !== undefined;
      return isEnd && comparePlace({ partition, position }, positions) <= 0
        ? [{ type: "ended", partition, position }]
        : [];
    });
  }

  /** Pull-driven, one transaction a chunk; then it idles with heartbeats until nobody pulls any more. */
  async *read(
    { from }: { readonly from: Positions | undefined },
    { over, ends }: ScriptedReading = { over: new Set(), ends: [] },
  ): AsyncGenerator<readonly (Change | Commit | Ended)[], void> {
    const { random, clock, wide } = this.#options;
    const forgotten = this.#acknowledged === undefined ? [] : placesOf(this.#acknowledged);
    const isOver = (partition: string | undefined): boolean => over.has(partition ?? WHOLE);
    if (forgotten.some((place) => !isOver(place.partition) && comparePlace(place, from) > 0)) this.gaps++;
    const isFresh = (partition: string | undefined, position: Position): boolean =>
      comparePlace({ partition, position }, from) > 0;
    const waiting = this.#names.map((name) =>
      this.transactions.filter(({ partition, positions: all }) => {
        return partition === name && !isOver(name) && isFresh(partition, all.at(-1) as Position);
      }),
    );
    // What is inside of a transaction goes on first.
    const inside = from === undefined ? undefined : placesOf(from).find(({ position }) => !isComplete(position));
    let next = inside && this.#names.indexOf(inside.partition);
    for (;;) {
      if (ends.length > 0) yield ends.splice(0);
      const filled = waiting.filter((transactions, nth) => transactions.length > 0 && !this.#waits(nth, waiting));
      const queue = next === undefined ? filled[random.below(filled.length)] : waiting[next];
      next = undefined;
      const transaction = queue?.shift();
      if (transaction === undefined) break;
      const { partition, final, positions } = transaction;
      const data = wide && positions.length > 1 ? WIDE_BODY : BODY;
      const chunk: (Change | Commit)[] = positions
        .filter((position) => isFresh(partition, position))
        .map((position) => ({
          ...{ type: "change", kind: KIND, lane: "p00", key: "1", transaction: TRANSACTION, data },
          ...{ partition, position },
        }));
      const isLast = this.#options.parents !== undefined && queue?.length === 0;
      if (random.chance(0.3) && !isLast) chunk.push(this.#commit(partition, final + 3));
      yield chunk;
      if (random.chance(0.8)) await clock.sleep(random.below(400));
    }
    const end = (this.transactions.at(-1)?.final ?? 0) + 5;
    for (let beat = 0; ; beat++) {
      await clock.sleep(1000);
      if (ends.length > 0) yield ends.splice(0);
      const open = this.#names.filter((name) => this.#isOpen(name, false));
      yield [this.#commit(open[random.below(open.length)], end + beat)];
    }
  }

  async acknowledge(positions: Positions): Promise<void> {
    this.#acknowledged = laterPositions(positions, this.#acknowledged);
  }

  /** Whether a partition has transactions in this part of the log. */
  #isOpen(name: string | undefined, early: boolean): boolean {
    const { parents = {} } = this.#options;
    if (early) return name === undefined || parents[name] === undefined;
    return !Object.values(parents).includes(name ?? WHOLE);
  }

  /** Whether its parent is not read whole. */
  #waits(nth: number, waiting: readonly (readonly unknown[])[]): boolean {
    const parent = this.#options.parents?.[this.#names[nth] ?? WHOLE];
    return parent !== undefined && (waiting[this.#names.indexOf(parent)]?.length ?? 0) > 0;
  }

  #lastOf(partition: string): Position | undefined {
    return this.wanted[this.#names.indexOf(partition)]?.at(-1);
  }

  #commit(partition: string | undefined, final: number): Commit {
    return { type: "commit", partition, position: this.#position(partition, final, 0, true) };
  }

  /** No text stands in two partitions. */
  #position(partition: string | undefined, final: number, change: number, last: boolean): Position {
    const nth = this.#names.indexOf(partition);
    return `0001.${hex(final)}.${hex(change)}.r00000${nth}${last ? "+" : ""}` as Position;
  }
}

/** Whether an event's body is kept apart. */
export function isLarge(position: Position): boolean {
  return (finalOf(position) / 16) % 3 === 0;
}

/** The name of its body. */
export function bodyName(position: Position): string {
  return bare(position);
}
