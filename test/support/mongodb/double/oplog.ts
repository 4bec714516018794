// What the double holds: documents, and a log of all that happened to them, each at a cluster time.

import { BSON } from "mongodb";
import { type ClusterTime, compareTimes } from "./token.ts";

/** Who wrote within a transaction. */
export interface Session {
  readonly id: BSON.UUID;
  readonly number: number;
}

/** One thing that happened. */
export interface Change {
  readonly time: ClusterTime;
  /** Among all of its time, from 0. */
  readonly index: number;
  readonly wallTime: Date;
  /** As a change stream calls it; `noop` is in none. */
  readonly kind: string;
  readonly database: string;
  readonly collection?: string | undefined;
  readonly key?: BSON.Document | undefined;
  /** Of an insert and a replace. */
  readonly document?: BSON.Document | undefined;
  readonly update?: BSON.Document | undefined;
  readonly before?: BSON.Document | undefined;
  readonly after?: BSON.Document | undefined;
  /** More members of the event. */
  readonly more?: BSON.Document | undefined;
  readonly session?: Session | undefined;
  /** Instead of all that: the members of the event behind its token, as bytes. */
  readonly raw?: Buffer | undefined;
}

/** A write of one document. */
export type Write =
  | { readonly insert: string; readonly document: BSON.Document }
  | { readonly replace: string; readonly document: BSON.Document }
  | { readonly update: string; readonly id: unknown; readonly set: BSON.Document; readonly unset?: readonly string[] }
  | { readonly remove: string; readonly id: unknown };

export interface Collection {
  readonly uuid: BSON.UUID;
  readonly documents: Map<string, BSON.Document>;
  /** Whether it keeps documents as they were before and after a change. */
  images: boolean;
}

type Happening = Omit<Change, "time" | "index" | "wallTime">;

export class Oplog {
  readonly collections = new Map<string, Collection>();
  /** How much of what it may hold it holds; undefined: nobody may ask. */
  share: number | undefined;
  #changes: Change[] = [];
  #dropped = 0;
  #time: ClusterTime = { t: Math.floor(Date.now() / 1000), i: 1 };
  #oldest: ClusterTime = this.#time;
  readonly #waiting = new Set<() => void>();

  /** The time of the newest entry. */
  get time(): ClusterTime {
    return this.#time;
  }

  /** The time of the oldest entry. */
  get oldest(): ClusterTime {
    return this.#oldest;
  }

  /** The number of the oldest entry. */
  get start(): number {
    return this.#dropped;
  }

  /** The number of the entry that comes next. */
  get end(): number {
    return this.#dropped + this.#changes.length;
  }

  /** By its number; undefined for what is not there yet. @throws RangeError for what is there no more */
  at(number: number): Change | undefined {
    if (number < this.#dropped) throw new RangeError("the oplog has dropped it");
    return this.#changes[number - this.#dropped];
  }

  /** The number of the first entry at or behind a time. */
  numberAt(time: ClusterTime): number {
    const found = this.#changes.findIndex((change) => compareTimes(change.time, time) >= 0);
    return found < 0 ? this.end : found + this.#dropped;
  }

  collection(database: string, name: string): Collection | undefined {
    return this.collections.get(`${database}.${name}`);
  }

  /** Makes a collection, unless it is there. */
  create(database: string, name: string, images = false): Collection {
    const found = this.collection(database, name);
    if (found !== undefined) return found;
    const made = { uuid: new BSON.UUID(), documents: new Map<string, BSON.Document>(), images };
    this.collections.set(`${database}.${name}`, made);
    this.log({ kind: "create", database, collection: name, more: { operationDescription: { idIndex: { v: 2 } } } });
    return made;
  }

  /** Writes at one cluster time: several writes, or any in a session, are a transaction. */
  write(database: string, writes: readonly Write[], session?: Session): void {
    for (const write of writes) this.create(database, collectionOf(write));
    const own = session ?? (writes.length > 1 ? { id: new BSON.UUID(), number: 1 } : undefined);
    const changes = writes.map((write): Happening => ({ ...this.#apply(database, write), database, session: own }));
    this.log(...changes);
  }

  drop(database: string, name: string): void {
    this.collections.delete(`${database}.${name}`);
    this.log({ kind: "drop", database, collection: name });
  }

  dropDatabase(database: string): void {
    for (const place of [...this.collections.keys()]) {
      if (place.startsWith(`${database}.`)) this.drop(database, place.slice(database.length + 1));
    }
    this.log({ kind: "dropDatabase", database });
  }

  rename(database: string, name: string, to: string): void {
    const found = this.collection(database, name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    this.collections.delete(`${database}.${name}`);
    this.collections.set(`${database}.${to}`, found);
    const target = { db: database, coll: to };
    const more = { to: target, operationDescription: { to: target } };
    this.log({ kind: "rename", database, collection: name, more });
  }

  /** Time goes on, and nothing happens. */
  tick(seconds = 0): ClusterTime {
    this.#time = { t: this.#time.t + seconds, i: seconds === 0 ? this.#time.i : 0 };
    this.log({ kind: "noop", database: "" });
    return this.#time;
  }

  /** Forgets all entries before a time, as a full oplog does. */
  forget(before: ClusterTime): void {
    const from = this.numberAt(before);
    this.#oldest = before;
    this.#changes = this.#changes.slice(from - this.#dropped);
    this.#dropped = from;
  }

  /** Forgets all but the newest entry, which is of now. */
  truncate(): void {
    this.#oldest = this.tick();
    this.#dropped = this.end - 1;
    this.#changes = this.#changes.slice(-1);
  }

  /** Says that it holds all since a time, at which nothing happened here. */
  reachBackTo(time: ClusterTime): void {
    this.#oldest = time;
  }

  /** Documents before and after changes are kept no more. */
  expireImages(): void {
    this.#changes = this.#changes.map((change) => ({ ...change, before: undefined, after: undefined }));
  }

  /** Puts happenings into the log, all at one time. */
  log(...happenings: readonly Happening[]): void {
    const t = Math.max(Math.floor(Date.now() / 1000), this.#time.t);
    this.#time = { t, i: t === this.#time.t ? this.#time.i + 1 : 1 };
    for (const [index, happening] of happenings.entries()) {
      this.#changes.push({ ...happening, time: this.#time, index, wallTime: new Date() });
    }
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves when something is logged, or after the time. */
  async changed(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  #apply(database: string, write: Write): Omit<Happening, "database"> {
    const name = collectionOf(write);
    const { documents, images } = this.create(database, name);
    const id: unknown = "document" in write ? write.document._id : write.id;
    const place = idText(id);
    const old = documents.get(place);
    const shared = { collection: name, key: { _id: id }, before: images ? old : undefined };
    if ("remove" in write) {
      documents.delete(place);
      return { kind: "delete", ...shared };
    }
    if ("document" in write) {
      documents.set(place, write.document);
      return { kind: "insert" in write ? "insert" : "replace", ...shared, document: write.document };
    }
    const unset = write.unset ?? [];
    const after: BSON.Document = { ...old, ...write.set };
    for (const field of unset) delete after[field];
    documents.set(place, after);
    const update = { updatedFields: write.set, removedFields: unset, truncatedArrays: [], disambiguatedPaths: {} };
    return { kind: "update", ...shared, update, after: images ? after : undefined };
  }
}

/** The same text for the same `_id`. */
export function idText(id: unknown): string {
  return BSON.EJSON.stringify({ id } as BSON.Document, { relaxed: false });
}

function collectionOf(write: Write): string {
  if ("insert" in write) return write.insert;
  if ("replace" in write) return write.replace;
  return "update" in write ? write.update : write.remove;
}
