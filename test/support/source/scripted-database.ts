// A database that a test writes down: transactions in one log, or in partitions that are read side by side.

import type { Clock } from "../../../src/clock.ts";
import { PoisonError, TransientError } from "../../../src/errors.ts";
import { isComplete, type Position } from "../../../src/event/position.ts";
import { comparePlace, laterPositions, type Place, type Positions } from "../../../src/event/positions.ts";
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
  readonly partitions: readonly (string | undefined)[];
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
  #picked = 0;
  #cuts = 0;

  /** @param partitions none: there is one log */
  constructor(name: string, clock: Clock, partitions: readonly string[] = []) {
    this.name = name;
    this.clock = clock;
    this.partitions = partitions.length === 0 ? [undefined] : partitions;
  }

  commit(partition: string | undefined, rows: readonly ScriptedRow[]): void {
    const time = new Date(this.clock.wall()).toISOString().replace("Z", "000Z");
    this.log.push({ partition, at: this.log.length + 1, time, version: this.version, rows });
  }

  /** The log up to here is gone. */
  drop(positions: Positions): void {
    this.dropped = laterPositions(positions, this.dropped);
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

  #behind(at: number): Positions {
    const places = this.partitions.map((name) => this.place(name, at, 0xffff, "z+"));
    return new Map(places.map(({ partition = "", position }) => [partition, position]));
  }

  /** Transactions of which not all is read. */
  behind(read: Positions | undefined): readonly Committed[] {
    return this.log.filter((committed) => comparePlace(this.placeOf(committed), read) > 0);
  }

  /** One of these: of each partition the first, and before all others one that is begun. */
  next(read: Positions): Committed | undefined {
    const isNext = (one: Committed): boolean => comparePlace(this.placeOf(one), read) > 0;
    const waiting = this.partitions.flatMap(
      (name) => this.log.find((one) => one.partition === name && isNext(one)) ?? [],
    );
    const isBegun = ({ partition = "" }: Committed): boolean => !isComplete(read.get(partition) ?? ("+" as Position));
    return waiting.find(isBegun) ?? waiting[waiting.length === 0 ? 0 : this.pick(waiting.length)];
  }

  lag(read: Positions): SourceLag {
    const bytesBehind = (place: Positions | undefined): number => {
      const rows = this.behind(place).flatMap((committed) => committed.rows.map(bodyOf));
      return rows.reduce((sum, { length }) => sum + length, 0);
    };
    return { unsentBytes: bytesBehind(read), unconfirmedBytes: bytesBehind(this.dropped), end: this.end };
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
    return { partition, position: `${first}.${second}.${this.partitions.indexOf(partition)}${kind}` as Position };
  }
}

function bodyOf({ key, text = "" }: ScriptedRow): Uint8Array {
  return Buffer.from(JSON.stringify({ op: "created", key: { id: key }, before: null, after: { id: key, text } }));
}
