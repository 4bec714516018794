// Which shards of one stream may be read: a child only when its parent is read whole. A pure state machine; its argument:
// - A shard's place tells how far the source's stream has it: all before a child's first place was handed out before that.
// - A closed parent stays listed as long as it may be read. One that two complete listings lack is gone for good.
// - So a shard that is listed, and of which nothing is known but that one behind it has begun, was read whole, or was never to be read.
// - Of one that is gone before it was read whole something may be lost: that is told, and its children may be read.

import { type ShardPlace, Step } from "../client/position.ts";

/** A shard as the server lists it. */
export interface ListedShard {
  readonly id: string;
  readonly parent: string | undefined;
  /** The first number that it may hold. */
  readonly start: string | undefined;
  readonly closed: boolean;
}

/** What is known of one stream before it is asked. */
export interface KnownStream {
  /** How far the source's stream has each shard. */
  readonly places: ReadonlyMap<string, ShardPlace>;
  /** Shards with which the source has begun: what was before them is not its own. */
  readonly roots: ReadonlySet<string>;
  /** Shards that are never to be read, or are done with. */
  readonly over: ReadonlySet<string>;
  /** Shards that the stream has something of. */
  readonly begun?: ReadonlySet<string>;
}

/** `waiting`: for its parent; `ready`: it may be read, and nobody reads it yet. */
export type ShardState = "waiting" | "ready" | "reading" | "done";

interface Shard {
  readonly id: string;
  parent: string | undefined;
  start: string | undefined;
  closed: boolean;
  state: ShardState;
  /** How many complete listings in a row lack it. */
  missing: number;
}

/** Something of a shard can never come. */
export interface LostShard {
  /** The shard that is to say so: itself, or the child of one that was never read. */
  readonly shard: string;
  /** The one that is gone. */
  readonly gone: string;
}

/** So many complete listings must lack a shard. */
const LISTINGS = 2;

export class ShardGraph {
  readonly #known: KnownStream;
  readonly #shards = new Map<string, Shard>();
  readonly #children = new Map<string, Set<string>>();
  /** Parents that are named and were never listed: how many listings lack them. */
  readonly #unlisted = new Map<string, number>();
  readonly #begun: Set<string>;
  #losses: readonly LostShard[] = [];
  #listings = 0;

  constructor(known: KnownStream) {
    this.#known = known;
    this.#begun = new Set([...(known.begun ?? []), ...known.roots, ...known.over]);
    // What the stream has begun to hold may be gone from the listing already.
    for (const [id, { step }] of known.places) {
      const state = step === Step.ended || known.over.has(id) ? "done" : "ready";
      this.#shards.set(id, { id, parent: undefined, start: undefined, closed: false, state, missing: 0 });
    }
  }

  /** One complete listing: all of its pages. */
  listed(shards: readonly ListedShard[]): void {
    this.#listings++;
    for (const shard of shards) this.#add(shard);
    const present = new Set(shards.map(({ id }) => id));
    for (const shard of this.#shards.values()) shard.missing = present.has(shard.id) ? 0 : shard.missing + 1;
    for (const { parent } of shards) {
      if (parent === undefined || this.#shards.has(parent)) continue;
      this.#unlisted.set(parent, (this.#unlisted.get(parent) ?? 0) + 1);
    }
    this.#settle();
  }

  /** Some shards that the server named beside a listing: children of one. */
  found(shards: readonly ListedShard[]): void {
    for (const shard of shards) this.#add(shard);
    this.#settle();
  }

  /** All of it was handed out, and the server says that it is closed. */
  ended(id: string): void {
    this.#set(id, "done");
    this.#settle();
  }

  /** Somebody reads it now. */
  reading(id: string): void {
    this.#begun.add(id);
    this.#set(id, "reading");
  }

  /** The server no longer knows it, or the stream. */
  vanished(id: string): void {
    const shard = this.#shards.get(id);
    if (shard === undefined || shard.state === "done") return;
    this.#lose({ shard: id, gone: id });
    this.#set(id, "done");
    this.#settle();
  }

  /** Whether complete listings lack it for good. */
  isGone(id: string): boolean {
    const shard = this.#shards.get(id);
    return this.#listings >= LISTINGS && (shard === undefined || shard.missing >= LISTINGS);
  }

  /** It is gone and done with, and all behind it have begun. */
  forget(id: string): void {
    this.#shards.delete(id);
    this.#children.delete(id);
  }

  /** Those that may be read and are not, in the order of their numbers. */
  ready(): readonly ListedShard[] {
    const ready = [...this.#shards.values()].filter(({ state }) => state === "ready");
    return ready.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** What is lost, since it was asked last. */
  takeLosses(): readonly LostShard[] {
    const losses = this.#losses;
    this.#losses = [];
    return losses;
  }

  /** Whether another listing is needed to tell who is gone. */
  get unsure(): boolean {
    const isUnsure = (missing: number): boolean => missing > 0 && missing < LISTINGS;
    const reading = [...this.#shards.values()].filter(({ state }) => state !== "done");
    return reading.some(({ missing }) => isUnsure(missing)) || [...this.#unlisted.values()].some(isUnsure);
  }

  /** Whether all shards that there are, are done. A stream that is closed is then read to its end. */
  get isDone(): boolean {
    return this.#listings > 0 && [...this.#shards.values()].every(({ state }) => state === "done");
  }

  /**
   * Whether somebody reads each shard that takes writes now, as far as the newest listing tells: none waits, and of those that were
   * read to their ends each has one behind it.
   */
  get isFollowed(): boolean {
    const isAhead = ({ id, state, missing }: Shard): boolean =>
      state === "waiting" || state === "ready" || (state === "done" && missing === 0 && !this.#children.has(id));
    return this.#listings > 0 && ![...this.#shards.values()].some(isAhead);
  }

  /** Whether so many complete listings in a row lack it that it is gone. */
  isMissing(id: string): boolean {
    return (this.#shards.get(id)?.missing ?? LISTINGS) >= LISTINGS;
  }

  /** Those that are not done. */
  unfinished(): readonly string[] {
    return [...this.#shards.values()].filter(({ state }) => state !== "done").map(({ id }) => id);
  }

  /** Those behind which nothing is known. */
  leaves(): readonly string[] {
    return [...this.#shards.keys()].filter((id) => !this.#children.has(id)).sort();
  }

  childrenOf(id: string): readonly string[] {
    return [...(this.#children.get(id) ?? [])];
  }

  /** How many shards there are in each state. */
  counts(): Readonly<Record<ShardState, number>> {
    const counts = { waiting: 0, ready: 0, reading: 0, done: 0 };
    for (const { state } of this.#shards.values()) counts[state]++;
    return counts;
  }

  #add({ id, parent, start, closed }: ListedShard): void {
    this.#unlisted.delete(id);
    const known = this.#shards.get(id);
    if (parent !== undefined) {
      const siblings = this.#children.get(parent) ?? new Set();
      this.#children.set(parent, siblings.add(id));
      // Who has children is closed, whatever the listing says of it.
      const of = this.#shards.get(parent);
      if (of !== undefined) of.closed = true;
    }
    if (known !== undefined) {
      known.parent = parent;
      known.start = start;
      known.closed ||= closed;
      return;
    }
    const state = this.#known.over.has(id) ? "done" : "waiting";
    const isClosed = closed || this.#children.has(id);
    this.#shards.set(id, { id, parent, start, closed: isClosed, state, missing: 0 });
  }

  /** Lets go on who waits for nobody any more; whoever is gone is given up. */
  #settle(): void {
    for (const shard of [...this.#shards.values()]) {
      if (shard.missing < LISTINGS || shard.state === "done" || shard.state === "reading") continue;
      // It has places, so the source had begun with it; one that reads it hears of it by itself.
      this.vanished(shard.id);
    }
    for (const shard of this.#shards.values()) {
      if (shard.state !== "waiting") continue;
      if (this.#hasBegunBehind(shard.id)) shard.state = "done";
      else if (this.#mayBeRead(shard)) shard.state = "ready";
    }
  }

  #hasBegunBehind(id: string): boolean {
    for (const child of this.#children.get(id) ?? [])
      if (this.#begun.has(child) || this.#hasBegunBehind(child)) return true;
    return false;
  }

  #mayBeRead({ id, parent }: Shard): boolean {
    if (parent === undefined || this.#known.roots.has(id) || this.#known.over.has(parent)) return true;
    const before = this.#shards.get(parent);
    if (before !== undefined) return before.state === "done";
    if ((this.#unlisted.get(parent) ?? 0) < LISTINGS) return false;
    this.#lose({ shard: id, gone: parent });
    return true;
  }

  #lose(lost: LostShard): void {
    this.#losses = [...this.#losses, lost];
  }

  #set(id: string, state: ShardState): void {
    const shard = this.#shards.get(id);
    if (shard !== undefined) shard.state = state;
  }
}
