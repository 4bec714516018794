// One stream while it is read: finds its shards, and what comes behind each that has ended.

import type { Clock } from "../../../clock.ts";
import type { DynamoApi } from "../client/api.ts";
import { ifUnknown } from "../client/errors.ts";
import type { ShardPlace } from "../client/position.ts";
import { listShards } from "../shards/list-shards.ts";
import { nextStream } from "../shards/next-stream.ts";
import { type ListedShard, ShardGraph } from "../shards/shard-graph.ts";
import { ChildSearch } from "./child-search.ts";
import type { Loss, StreamLoss } from "./losses.ts";

export interface StreamFollowerOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly arn: string;
  readonly table: string;
  readonly label: string;
  /** As the source's record has them. */
  readonly roots: readonly string[];
  readonly over: readonly string[];
  /** Shards that the source's stream has something of. */
  readonly begun?: ReadonlySet<string>;
  /** How far the stream has its shards. */
  readonly places: ReadonlyMap<string, ShardPlace>;
  /** A shard may be read now. */
  readonly onReady: (shard: ListedShard) => void;
  /** Something can never come: what comes behind it is not to be read before that is on record. */
  readonly onLost: (loss: Loss) => void;
  /** Where its table's next stream is on record already: it may be read now. */
  readonly onDone?: (() => void) | undefined;
  /** How far a shard was handed out. */
  readonly placeOf: (shard: string) => ShardPlace | undefined;
}

/** Between two complete listings, of which the second tells who is gone. */
const LISTINGS_APART_MS = 500;
const LOOK_EVERY_MS = 60_000;
/** Of a stream that is switched off: whether more of its shards are listed by now, and whether there is another one. */
const LAST_LOOK_MS = 2_000;
const NEXT_EVERY_MS = 5_000;

export class StreamFollower {
  readonly arn: string;
  readonly table: string;
  readonly label: string;
  readonly graph: ShardGraph;
  keyNames: readonly string[] = [];
  disabled = false;
  readonly #options: StreamFollowerOptions;
  readonly #search = new ChildSearch();
  /** Since when all of a stream that is switched off was read. */
  #doneAt: number | undefined;
  /** How often in a row the server did not know the stream. */
  #unknown = 0;
  #lookAt = Number.NEGATIVE_INFINITY;
  #opening: Promise<void> | undefined;
  #nap = new AbortController();
  #holds = false;
  /** When one of its shards was read to its end last, ms. */
  #endedAt = Number.NEGATIVE_INFINITY;

  constructor(options: StreamFollowerOptions) {
    const { arn, table, label, places, roots, over, begun = new Set(places.keys()) } = options;
    this.#options = options;
    this.arn = arn;
    this.table = table;
    this.label = label;
    this.graph = new ShardGraph({ places, roots: new Set(roots), over: new Set(over), begun });
  }

  /** Lists it, until it is known who is there and who is gone. */
  open(): Promise<void> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Looks again and again; ends with the signal, or when the stream is over. */
  async watch(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#lookAt = clock.now() + LAST_LOOK_MS;
    while (!signal.aborted) {
      const now = clock.now();
      const childrenAt = this.#search.dueAt ?? Number.POSITIVE_INFINITY;
      if (childrenAt <= now) await this.#lookForChildren();
      else if (this.#lookAt > now) await this.#rest(Math.min(childrenAt, this.#lookAt) - now);
      else if (await this.#isOver()) return;
    }
  }

  /** One of its shards was read to its end, and handed out. */
  ended(id: string): void {
    const { clock } = this.#options;
    this.graph.ended(id);
    this.#endedAt = clock.now();
    this.#proceed();
    this.#doneAt = undefined;
    if (this.disabled) this.#lookAt = Math.min(this.#lookAt, clock.now());
    else this.#search.add(id, this.graph.childrenOf(id).length > 0, clock.now());
    this.#nap.abort();
  }

  /** Something of it is lost: nobody may read what is behind that, until it is on record. */
  hold(): void {
    this.#holds = true;
  }

  get holds(): boolean {
    return this.#holds;
  }

  /** Shards that may be read as soon as what is lost before them is on record. */
  held(): readonly ListedShard[] {
    return this.graph.ready();
  }

  /** The server says that it does not know a shard that is read: whether that is so. */
  async isGone(id: string): Promise<boolean> {
    await this.open();
    if (!this.graph.isMissing(id)) return false;
    this.graph.vanished(id);
    this.#proceed();
    return true;
  }

  /** Whether no record is written to it any more, as far as it is listed. */
  isClosed({ id, closed }: ListedShard): boolean {
    return closed || this.graph.childrenOf(id).length > 0;
  }

  /**
   * Whether somebody reads each shard that takes writes now. Of two behind one that has ended, one may be listed later.
   * @param delayMs how much later, at most
   */
  isFollowed(delayMs: number): boolean {
    return !this.#holds && this.graph.isFollowed && this.#options.clock.now() >= this.#endedAt + delayMs;
  }

  /** Whether all of it was read, and nothing more comes. */
  get isDone(): boolean {
    return this.disabled && this.graph.isDone;
  }

  /** What comes behind it, where it was read to its end and its table has another one that is not on record. */
  async next(): Promise<StreamLoss | undefined> {
    const { api, arn, table, label, onDone } = this.#options;
    if (onDone !== undefined) return undefined;
    const next = await nextStream(api, { arn, table, label });
    return next && { kind: "stream", arn, table, label, shards: this.graph.leaves(), next };
  }

  async #isOver(): Promise<boolean> {
    const { clock, onLost, onDone } = this.#options;
    await this.open();
    const now = clock.now();
    this.#lookAt = now + (this.disabled ? NEXT_EVERY_MS : LOOK_EVERY_MS);
    if (!this.isDone || this.#holds) {
      this.#doneAt = undefined;
      return false;
    }
    // A child that was made just before the end may be listed later than that.
    this.#doneAt ??= now;
    if (now - this.#doneAt < LAST_LOOK_MS) {
      this.#lookAt = now + LAST_LOOK_MS;
      return false;
    }
    onDone?.();
    const next = await this.next();
    if (next !== undefined) onLost(next);
    return next !== undefined || onDone !== undefined;
  }

  async #open(): Promise<void> {
    const { clock, signal } = this.#options;
    await this.#list();
    while ((this.graph.unsure || this.#unknown === 1) && !signal.aborted) {
      await clock.sleep(LISTINGS_APART_MS, signal);
      if (!signal.aborted) await this.#list();
    }
  }

  async #lookForChildren(): Promise<void> {
    const { api, arn, clock } = this.#options;
    const ids = this.#search.due(clock.now());
    const [only] = ids;
    if (only === undefined) return;
    if (ids.length > 1 || !this.#search.isFirst(only)) await this.open();
    else {
      const page = await api.describeStream(arn, { childrenOf: only }).catch(ifUnknown);
      if (page === undefined) await this.open();
      else {
        if (page.disabled) this.#switchedOff();
        // Some servers take no notice of the filter.
        this.graph.found(page.shards.filter(({ parent }) => parent === only));
        this.#proceed();
      }
    }
    this.#search.looked(ids, (id) => this.graph.childrenOf(id).length > 0, clock.now());
  }

  async #list(): Promise<void> {
    const { api, arn } = this.#options;
    const listing = await listShards(api, arn).catch(ifUnknown);
    if (listing === undefined) {
      // The stream is gone with all of its shards, if it is so once more.
      this.graph.listed([]);
      if (++this.#unknown > 1) this.#vanish();
    } else {
      this.#unknown = 0;
      if (this.keyNames.length === 0) this.keyNames = listing.keyNames;
      this.disabled = listing.disabled;
      this.graph.listed(listing.shards);
    }
    if (this.disabled) this.#switchedOff();
    this.#proceed();
  }

  /** No more shards are made: one more listing has all that there are. */
  #switchedOff(): void {
    if (!this.disabled) this.#lookAt = Math.min(this.#lookAt, this.#options.clock.now());
    this.disabled = true;
    this.#search.clear();
  }

  #vanish(): void {
    this.disabled = true;
    for (const id of this.graph.unfinished()) this.graph.vanished(id);
  }

  /** Tells what the graph has found out. */
  #proceed(): void {
    const { onReady, onLost, placeOf, arn, table, label } = this.#options;
    for (const { shard, gone } of this.graph.takeLosses()) {
      this.#holds = true;
      onLost({ kind: "shard", arn, shard, place: placeOf(shard), table, label, about: gone, gone: shard === gone });
    }
    if (this.#holds) return;
    for (const shard of this.graph.ready()) {
      this.graph.reading(shard.id);
      onReady(shard);
    }
  }

  /** Until the time is over, or something has ended. */
  async #rest(ms: number): Promise<void> {
    const { clock, signal } = this.#options;
    this.#nap = new AbortController();
    await clock.sleep(ms, AbortSignal.any([signal, this.#nap.signal]));
  }
}
