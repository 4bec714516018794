// One shard as the guard sees it: the oldest change that waits behind the source's place. It is asked seldom: each answer is paid
// for, and AWS serves no more than two readers of a shard.

import type { DynamoApi } from "../client/api.ts";
import type { ShardPlace } from "../client/position.ts";
import { createdAt } from "../decode/record.ts";
import { ShardLost, ShardReader } from "../reader/shard-reader.ts";
import { shardStart } from "../reader/shard-start.ts";
import type { OpenShard } from "./survey.ts";

/** `gone`: nothing of the shard is left; `trimmed`: what comes next is not. */
export type Behind =
  | { readonly state: "unknown" | "nothing" }
  | { readonly state: "waits"; readonly ageMs: number }
  | { readonly state: "lost"; readonly how: "trimmed" | "gone" };

/** Where nothing waited: what has come since is not older than this. */
const REST_MS = 120_000;
/** Where something waited, and the place has moved. */
const MOVED_MS = 60_000;
/** The same where it waited for so long that it may be dropped. */
const LATE_MS = 10_000;
const LATE_AGE_MS = 10 * 60_000;
/** Where the place has not moved its age is known without asking: only whether it is still there is not. */
const THERE_MS = 5 * 60_000;
/** Records on a page, where some may be older than what the source begins with. */
const PAGE_RECORDS = 1000;

export class WatchedShard {
  readonly open: OpenShard;
  #place: ShardPlace | undefined;
  #behind: Behind = { state: "unknown" };
  #askedAt: number | undefined;
  #moved = false;
  /** Goes on where it was while nothing is found: an empty answer does not mean that there is nothing. */
  #reader: ShardReader | undefined;
  /** Of the newest answer, by the server's clock. */
  #answeredAt: number | undefined;

  constructor(open: OpenShard) {
    this.open = open;
    this.#place = open.place;
  }

  get behind(): Behind {
    return this.#behind;
  }

  /** The source has it up to here by now. */
  reached(place: ShardPlace | undefined): void {
    const before = this.#place;
    if (place === undefined || (place.number === before?.number && place.step === before?.step)) return;
    this.#place = place;
    this.#moved = true;
    this.#reader = undefined;
    if (this.#behind.state === "lost") this.#behind = { state: "unknown" };
  }

  /** Age of the oldest change that waits, in ms; 0 where none does, or it is not known. @param now of the clock */
  ageMs(now: number): number {
    if (this.#behind.state !== "waits") return 0;
    // Once the place has moved what waits is another one, of whose age there is no more than this to say.
    return this.#behind.ageMs + (this.#moved ? 0 : now - (this.#askedAt ?? now));
  }

  /** For how long it should have been asked again; negative where that has time. */
  overdueMs(now: number): number {
    if (this.#askedAt === undefined || this.#behind.state === "unknown") return Number.POSITIVE_INFINITY;
    return now - this.#askedAt - this.#restMs();
  }

  /** @param wall ms since 1970 @throws ServerError, TransientError, ConfigError */
  async ask(api: DynamoApi, now: number, wall: number): Promise<void> {
    const { arn, entry, shard } = this.open;
    const { mayBeTrimmed, since } = shardStart(entry, shard.id, this.#place, wall);
    const from = this.#place?.number === undefined ? since : undefined;
    const limit = from === undefined ? 1 : PAGE_RECORDS;
    const place = this.#place;
    this.#reader ??= new ShardReader({
      ...{ arn, shard: shard.id, start: shard.start, place, mayBeTrimmed },
      api: {
        ...api,
        records: async (iterator) => {
          const page = await api.records(iterator, limit);
          this.#answeredAt = page.at;
          return page;
        },
      },
    });
    this.#behind = await this.#next(this.#reader, from, wall);
    this.#askedAt = now;
    this.#moved = false;
    // Whether it is still there is told by asking from the place itself again.
    if (this.#behind.state !== "nothing") this.#reader = undefined;
  }

  async #next(reader: ShardReader, from: number | undefined, wall: number): Promise<Behind> {
    try {
      const { records } = await reader.next();
      const created = records.map((record) => createdAt(record) ?? wall);
      const first = created.find((at) => from === undefined || at >= from);
      if (first === undefined) return { state: "nothing" };
      return { state: "waits", ageMs: Math.max(0, (this.#answeredAt ?? wall) - first) };
    } catch (error) {
      if (error instanceof ShardLost) return { state: "lost", how: error.how };
      throw error;
    }
  }

  #restMs(): number {
    if (this.#behind.state !== "waits") return REST_MS;
    if (!this.#moved) return THERE_MS;
    return this.#behind.ageMs > LATE_AGE_MS ? LATE_MS : MOVED_MS;
  }
}
