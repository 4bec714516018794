// A database that a test writes down: transactions in one log, or in partitions that are read side by side.

import type { Clock } from "../../../src/clock.ts";
import { PoisonError, TransientError } from "../../../src/errors.ts";
import { isComplete, type Position } from "../../../src/event/position.ts";
import {
  comparePlace,
  laterPositions,
  type Place,
  type Positions,
  WHOLE,
  withoutPartitions,
} from "../../../src/event/positions.ts";
import type { ChangeKind, CollectionVersion } from "../../../src/event/source-event.ts";
import type { Notice, Poison, SourceLag } from "../../../src/source/source.ts";

export interface ScriptedRow {
  readonly key: string;
  readonly text?: string;
  /** It can never be decoded. */
  readonly poison?: boolean;
}

export interface Committed {
  readonly partition: string | undefined;
  /** Where it stands among the transactions of all partitions, from 1. */
  readonly at: number;
  readonly time: string;
  /** Of the collection, by then. */
  readonly version: number;
  readonly rows: readonly ScriptedRow[];
}

export type Kind = ChangeKind & { readonly version: CollectionVersion };

export interface SentRow extends Pick<ScriptedRow, "key"> {
  readonly data: Uint8Array;
  /** What is known of a row that can never be decoded. */
  readonly broken?: Omit<Poison, "type" | "position" | "partition" | "transaction">;
}

/** By the names that configurations call them by. */
export const scriptedDatabases = new Map<string, ScriptedDatabase>();

export class ScriptedDatabase {
  readonly name: string;
  readonly clock: Clock;
  readonly partitions: (string | undefined)[];
  /** Of partitions that begin behind the end of another one: which. */
  readonly parents: Map<string, string>;
  /** Those that have ended, by where. */
  readonly closed = new Map<string, Place>();
  readonly log: Committed[] = [];
  /** What the log no longer holds, whether that was acknowledged or not. */
  dropped: Positions | undefined;
  version = 1;
  away = false;
  notices: readonly Notice[] = [];
  sentBytes = 0;
  /** Which of so many partitions is read next; by default side by side. */
  pick: (count: number) => number = (count) => ++this.#picked % count;
  /** How long a reader rests before it reads on. */
  rest: () => Promise<void> = async () => {};
  readonly #numbers = new Map<string | undefined, number>();
  #picked = 0;
  #cuts = 0;

  /** @param partitions none: there is one log @param parents of those that begin behind another one's end: which */
  constructor(
    name: string,
    clock: Clock,
    partitions: readonly string[] = [],
    parents: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    this.clock = clock;
    this.partitions = partitions.length === 0 ? [undefined] : [...partitions];
    this.parents = new Map(Object.entries(parents));
  }

  /** A partition comes, behind the end of another one. */
  open(partition: string, parent: string): void {
    this.partitions.push(partition);
    this.parents.set(partition, parent);
  }

  /** The log of a partition that has ended is no longer listed: all of it was read long ago. */
  forget(partition: string): void {
    this.partitions.splice(this.partitions.indexOf(partition), 1);
    this.closed.delete(partition);
    this.dropped = withoutPartitions(this.dropped, new Set([partition]));
    for (const [child, parent] of this.parents) if (parent === partition) this.parents.delete(child);
  }

  /** A partition ends, with a transaction without rows: nothing more is committed there. */
  close(partition: string): void {
    this.commit(partition, []);
    this.closed.set(partition, this.placeOf(this.log.at(-1) as Committed));
  }

  /** Of partitions that are read whole at these places, or that are no longer listed, their ends. */
  endedAt(positions: Positions): readonly (Place & { readonly partition: string })[] {
    return [...positions].flatMap(([partition, position]) => {
      const end = this.closed.get(partition);
      const isWhole = end !== undefined && comparePlace(end, positions) <= 0;
      return isWhole || !this.isListed(partition) ? [{ partition, position }] : [];
    });
  }

  commit(partition: string | undefined, rows: readonly ScriptedRow[]): void {
    const time = new Date(this.clock.wall()).toISOString().replace("Z", "000Z");
    this.log.push({ partition, at: this.log.length + 1, time, version: this.version, rows });
  }

  /** The log up to here is gone. */
  drop(positions: Positions): void {
    const unlisted = [...positions.keys()].filter((name) => !this.isListed(name));
    this.dropped = laterPositions(withoutPartitions(positions, new Set(unlisted)), this.dropped);
  }

  /** Whether the log of a partition is there. */
  isListed(name: string): boolean {
    return this.partitions.includes(name === WHOLE ? undefined : name);
  }

  /** All connections break. */
  cut(): void {
    this.#cuts++;
  }

  /** A connection: what it returns throws once it was cut, and while the database is away. @throws TransientError */
  connect(): () => void {
    const cuts = this.#cuts;
    const ask = (): void => {
      if (!this.away && cuts === this.#cuts) return;
      throw new TransientError("SCRIPT_AWAY", "the script does not answer", { hint: "wait for the test" });
    };
    ask();
    return ask;
  }

  /** Where each partition's log began at first. */
  get start(): Positions {
    return this.#behind(0);
  }

  /** And where it ends. */
  get end(): Positions {
    return this.#behind(this.log.length);
  }

  /** The same of partitions that are read by now. */
  endOf(read: Positions, over: ReadonlySet<string>): Positions {
    const isRead = ([name]: readonly [string, Position]): boolean => !over.has(name) && !this.#waits(name, read, over);
    const ended = [...this.closed].map(([name, { position }]) => [name, position] as const);
    return new Map([...new Map([...this.end, ...ended])].filter(isRead));
  }

  /** Whether the partition begins behind one that is not read whole. */
  #waits(name: string, read: Positions, over: ReadonlySet<string>): boolean {
    const parent = this.parents.get(name);
    if (parent === undefined || over.has(parent)) return false;
    const end = this.closed.get(parent);
    return end === undefined || comparePlace(end, read) > 0;
  }

  #behind(at: number): Positions {
    const places = this.partitions.map((name) => this.place(name, at, 0xffff, "z+"));
    return new Map(places.map(({ partition = "", position }) => [partition, position]));
  }

  /** Transactions of which not all is read. */
  behind(read: Positions | undefined): readonly Committed[] {
    return this.log.filter((committed) => comparePlace(this.placeOf(committed), read) > 0);
  }

  /** One of these: of each partition the first, and before all others one that is begun. @param over partitions that are not read */
  next(read: Positions, over: ReadonlySet<string>): Committed | undefined {
    const isNext = (one: Committed): boolean => comparePlace(this.placeOf(one), read) > 0;
    const waiting = this.partitions
      .filter((name = "") => !over.has(name) && !this.#waits(name, read, over))
      .flatMap((name) => this.log.find((one) => one.partition === name && isNext(one)) ?? []);
    const isBegun = ({ partition = "" }: Committed): boolean => !isComplete(read.get(partition) ?? ("+" as Position));
    return waiting.find(isBegun) ?? waiting[waiting.length === 0 ? 0 : this.pick(waiting.length)];
  }

  lag(read: Positions, over: ReadonlySet<string>): SourceLag {
    const bytesBehind = (place: Positions | undefined): number => {
      const rows = this.behind(place).flatMap((committed) => committed.rows.map(bodyOf));
      return rows.reduce((sum, { length }) => sum + length, 0);
    };
    return { unsentBytes: bytesBehind(read), unconfirmedBytes: bytesBehind(this.dropped), end: this.endOf(read, over) };
  }

  /** How many transactions the log holds, for as long as anybody has read it. @throws TransientError */
  held(name: string): Readonly<Record<string, number>> | undefined {
    this.connect();
    return this.dropped && { [name]: this.behind(this.dropped).length };
  }

  /** @throws TransientError */
  collections(): readonly { readonly namespace: string; readonly name: string }[] {
    this.connect();
    return this.partitions.map((namespace = "all") => ({ namespace, name: "orders" }));
  }

  /** The collection as it was by then: each version has one column more. */
  describe(namespace = "all", version: number): Kind {
    const column = (number: number) => ({ name: `c${number}`, number, type: "text", nullable: true, value: {} });
    const columns = Array.from({ length: version }, (_, nth) => column(nth));
    const name = { namespace, collection: "orders" };
    const schema = { id: namespace, ...name, identity: "key", key: ["id"], columns } as const;
    return { ...name, op: "created", version: { schema, uri: undefined } };
  }

  /** A row as the log has it; undefined of a transaction without rows. */
  send({ partition: namespace = "all", rows }: Committed, nth: number): SentRow | undefined {
    const row = rows[nth];
    if (row === undefined) return undefined;
    const data = bodyOf(row);
    this.sentBytes += data.length;
    if (row.poison !== true) return { key: row.key, data };
    const error = new PoisonError("SCRIPT_POISON", "it cannot be decoded", { hint: "see the test" });
    const broken = { namespace, collection: "orders", raw: data, sizeBytes: data.length, sha256: undefined, error };
    return { key: row.key, data, broken };
  }

  /** Where a row stands, by default the last one; a transaction without rows has a place too. */
  placeOf({ partition, at, rows }: Committed, nth: number = Math.max(0, rows.length - 1)): Place {
    return this.place(partition, at, nth, nth < rows.length - 1 ? "r" : "r+");
  }

  /** No text stands in two partitions. */
  place(partition: string | undefined, at: number, nth: number, kind: string): Place {
    const [first, second] = [at, nth].map((n) => n.toString(16).padStart(8, "0"));
    const number = this.#numbers.get(partition) ?? this.#numbers.size;
    this.#numbers.set(partition, number);
    return { partition, position: `${first}.${second}.${number}${kind}` as Position };
  }
}

function bodyOf({ key, text = "" }: ScriptedRow): Uint8Array {
  return Buffer.from(JSON.stringify({ op: "created", key: { id: key }, before: null, after: { id: key, text } }));
}
