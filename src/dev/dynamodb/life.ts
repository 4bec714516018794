// The life of the double's shards, as a test or a demo writes it down: what no server does on demand.

import { type DynamoState, EXPIRY } from "./state.ts";
import type { Shard, Stream, ViewType } from "./streams.ts";
import type { Item } from "./values.ts";

export interface RollOptions {
  /** How many each gets; two and more are a split. */
  readonly children?: number;
  /** Only this one; all open ones by default. */
  readonly shard?: string;
  /** The children are not listed before `list`. */
  readonly unlisted?: boolean;
}

export interface TrimOptions {
  /** Closed ones are no longer kept at all. */
  readonly gone?: boolean;
  /** How many of each shard's newest records are left. */
  readonly keep?: number;
  /** Only this one. */
  readonly shard?: string;
}

export class ShardLife {
  readonly #state: DynamoState;

  constructor(state: DynamoState) {
    this.#state = state;
  }

  /** Open shards are closed, and each has children, which share its part of the keys. */
  roll(table: string, { children = 1, shard: only, unlisted = false }: RollOptions = {}): void {
    const stream = this.#streamOf(table);
    for (const shard of stream.open()) {
      if (only !== undefined && shard.id !== only) continue;
      this.#state.closeShard(shard);
      const part = (shard.high - shard.low) / children;
      for (let nth = 0; nth < children; nth++) {
        const [low, high] = [shard.low + Math.floor(part * nth), shard.low + Math.floor(part * (nth + 1))];
        this.#state.openShard(stream, shard.id, low, high).unlisted = unlisted;
      }
    }
  }

  /** Lists shards that were not: all, or one. */
  list(table: string, only?: string): void {
    for (const shard of this.#shardsOf(table)) if (only === undefined || shard.id === only) shard.unlisted = false;
  }

  disable(table: string): void {
    this.#state.disable(this.#state.table(table));
  }

  /** A new stream, in the view type of the one before. */
  enable(table: string, view?: ViewType): Stream {
    const of = this.#state.table(table);
    return this.#state.enable(of, view ?? of.stream?.view ?? "NEW_AND_OLD_IMAGES");
  }

  /** What the table's shards hold by now is no longer kept. */
  trim(table: string, { gone = false, keep = 0, shard: only }: TrimOptions = {}): void {
    for (const shard of this.#shardsOf(table)) {
      if (only !== undefined && shard.id !== only) continue;
      shard.trimmed = Math.max(shard.trimmed, shard.records.length - keep);
      shard.gone ||= gone && !shard.isOpen;
    }
  }

  /** A stream that is switched off can no longer be read. */
  forget(arn: string): void {
    for (const stream of this.#state.streams) if (stream.arn === arn) stream.gone = true;
  }

  /** What is written from now on is seen by nobody before `release`. */
  hold(table: string): void {
    this.#streamOf(table).heldSince ??= this.#state.clock.wall();
  }

  release(table: string): void {
    this.#streamOf(table).heldSince = undefined;
  }

  /** Deletes as Time to Live does: an item, or all whose time is over. */
  expire(tableName: string, key?: Item): void {
    const table = this.#state.table(tableName);
    const { ttl } = table;
    const now = this.#state.clock.wall() / 1000;
    for (const item of [...table.items.values()]) {
      const of = table.keyOf(item);
      const time = ttl === undefined ? undefined : item[ttl]?.N;
      const isOver = key === undefined ? Number(time) <= now : table.onlyKeyOf(key).text === of.text;
      if (isOver) this.#state.change(table, of, undefined, EXPIRY);
    }
  }

  #streamOf(table: string): Stream {
    const { stream } = this.#state.table(table);
    if (stream === undefined) throw new Error(`${table} has no stream`);
    return stream;
  }

  /** Of all of its streams: the table may be gone. */
  #shardsOf(table: string): readonly Shard[] {
    return this.#state.streams.filter((stream) => stream.table === table).flatMap(({ shards }) => shards);
  }
}
