// One stream while it is read: finds its shards, and what comes behind each that has ended.

import type { Clock } from "../../../clock.ts";
import type { DynamoApi } from "../client/api.ts";
import { ServerError } from "../client/errors.ts";
import type { ShardPlace } from "../client/position.ts";
import { listShards, rootsOf, type StreamListing } from "../shards/list-shards.ts";
import { type ListedShard, ShardGraph } from "../shards/shard-graph.ts";
import type { StreamEntry } from "../stream-record.ts";
import type { Loss } from "./losses.ts";

export interface StreamFollowerOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly arn: string;
  readonly entry: StreamEntry;
  /** How far the stream has its shards. */
  readonly places: ReadonlyMap<string, ShardPlace>;
  /** A shard may be read now. */
  readonly onReady: (follower: StreamFollower, shard: ListedShard) => void;
  /** Something can never come: nothing more is to be read. */
  readonly onLost: (loss: Loss) => void;
  /** How far a shard was handed out. */
  readonly placeOf: (arn: string, shard: string) => ShardPlace | undefined;
}

const CHILD_TRIES = 10;
const CHILD_LEAST_MS = 50;
const CHILD_MOST_MS = 1_000;
/** Between two complete listings, of which the second tells who is gone. */
const LISTINGS_APART_MS = 500;
/** A split is listed child by child, perhaps. */
const LOOK_AGAIN_MS = 2_000;
const LOOK_EVERY_MS = 60_000;
/** Of a stream that is switched off: whether there is another one. */
const NEXT_EVERY_MS = 5_000;

export class StreamFollower {
  readonly arn: string;
  readonly entry: StreamEntry;
  readonly graph: ShardGraph;
  keyNames: readonly string[] = [];
  disabled = false;
  readonly #options: StreamFollowerOptions;

  constructor(options: StreamFollowerOptions) {
    const { arn, entry, places } = options;
    this.#options = options;
    this.arn = arn;
    this.entry = entry;
    this.graph = new ShardGraph({ places, roots: new Set(entry.roots), over: new Set(entry.over) });
  }

  /** Lists it, until it is known who is there and who is gone. */
  async open(): Promise<void> {
    await this.#list();
    while (this.graph.unsure && !this.#options.signal.aborted) {
      await this.#sleep(LISTINGS_APART_MS);
      await this.#list();
    }
  }

  /** Looks again and again; ends with the signal, or when the stream is over. */
  async watch(): Promise<void> {
    for (let ms = LOOK_AGAIN_MS; !this.#options.signal.aborted; ms = LOOK_EVERY_MS) {
      if (await this.#isOver()) return;
      await this.#sleep(this.disabled ? NEXT_EVERY_MS : ms);
      if (!this.#options.signal.aborted) await this.open();
    }
  }

  /** One of its shards was read to its end, and handed out. */
  async ended(id: string): Promise<void> {
    this.graph.ended(id);
    this.#proceed();
    for (let tries = 0; tries < CHILD_TRIES && this.graph.childrenOf(id).length === 0; tries++) {
      if (this.#options.signal.aborted || this.disabled) break;
      await this.#findChildren(id);
      if (this.graph.childrenOf(id).length === 0)
        await this.#sleep(Math.min(CHILD_MOST_MS, CHILD_LEAST_MS * 2 ** tries));
    }
    // Of two children one may be listed later, and so may all of them.
    do {
      if (await this.#isOver()) return;
      await this.#sleep(LOOK_AGAIN_MS);
      if (!this.#options.signal.aborted && !this.disabled) await this.open();
    } while (!this.#options.signal.aborted && !this.disabled && this.graph.childrenOf(id).length === 0);
  }

  /** The server no longer knows a shard that is read. */
  vanished(id: string): void {
    this.graph.vanished(id);
    this.#proceed();
  }

  async #findChildren(id: string): Promise<void> {
    const { api, arn } = this.#options;
    const page = await api.describeStream(arn, { childrenOf: id }).catch(ifUnknown);
    if (page === undefined) return this.#vanish();
    this.disabled ||= page.disabled;
    // Some servers take no notice of the filter.
    this.graph.found(page.shards.filter(({ parent }) => parent === id));
    this.#proceed();
  }

  async #list(): Promise<void> {
    const { api, arn } = this.#options;
    const listing: StreamListing | undefined = await listShards(api, arn).catch(ifUnknown);
    if (listing === undefined) return this.#vanish();
    if (this.keyNames.length === 0) this.keyNames = listing.keyNames;
    this.disabled ||= listing.disabled;
    this.graph.listed(listing.shards);
    this.#proceed();
  }

  /** The stream itself is gone, with all of its shards. */
  #vanish(): void {
    this.disabled = true;
    this.graph.listed([]);
    this.graph.listed([]);
    for (const id of this.graph.unfinished()) this.graph.vanished(id);
    this.#proceed();
  }

  /** Tells what the graph has found out. */
  #proceed(): void {
    const { onReady, onLost, placeOf, arn, entry } = this.#options;
    for (const { shard, gone } of this.graph.takeLosses()) {
      const place = placeOf(arn, shard);
      const { table, label } = entry;
      onLost({ kind: "shard", arn, shard, place, table, label, about: gone, gone: shard === gone });
    }
    for (const shard of this.graph.ready()) {
      this.graph.reading(shard.id);
      onReady(this, shard);
    }
  }

  /** Whether it was read to its end and its table has another one; or none any more. */
  async #isOver(): Promise<boolean> {
    if (!this.disabled || !this.graph.isDone) return false;
    const { api, arn, entry, onLost } = this.#options;
    const { table, label } = entry;
    const next = (await api.describeTable(table).catch(ifUnknown))?.stream;
    if (next === undefined || next.arn === arn) return false;
    const listing = await listShards(api, next.arn).catch(ifUnknown);
    if (listing === undefined || listing.shards.length === 0) return false;
    onLost({
      kind: "stream",
      arn,
      table,
      label,
      shards: this.graph.leaves(),
      next: { ...next, roots: rootsOf(listing.shards) },
    });
    return true;
  }

  async #sleep(ms: number): Promise<void> {
    await this.#options.clock.sleep(ms, this.#options.signal);
  }
}

function ifUnknown(error: unknown): undefined {
  if (error instanceof ServerError && error.refusal === "unknown") return undefined;
  throw error;
}
