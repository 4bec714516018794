// Reads all shards of all streams of a source side by side, each in its order, a child behind its parent; hands out what comes first.

import { setMaxListeners } from "node:events";
import type { Clock } from "../../../clock.ts";
import { MillraceError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { Positions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { PartitionCounts, SourceMessage } from "../../source.ts";
import type { DynamoApi } from "../client/api.ts";
import { ServerError, translateError } from "../client/errors.ts";
import { parsePartition } from "../client/partition.ts";
import { restBehind } from "../client/patient-api.ts";
import { parsePosition, type ShardPlace, Step } from "../client/position.ts";
import { RecordDecoder } from "../decode/record-decoder.ts";
import type { DynamoConfig } from "../options/config.ts";
import type { ListedShard, ShardGraph } from "../shards/shard-graph.ts";
import { placeOf, type SourceRecord } from "../stream-record.ts";
import { beginnings } from "./beginnings.ts";
import { type Loss, lossError } from "./losses.ts";
import { PageQueue } from "./page-queue.ts";
import { ShardLost, type ShardPage, ShardReader } from "./shard-reader.ts";
import { ShardReading } from "./shard-reading.ts";
import { shardStart } from "./shard-start.ts";
import { StreamFollower } from "./stream-follower.ts";

export interface StreamsReaderOptions {
  readonly source: SourceId;
  readonly config: Pick<DynamoConfig, "encoding" | "poll" | "outbox">;
  /** As it is: a shard that is throttled holds up no other. */
  readonly api: DynamoApi;
  /** For all that is asked beside records. */
  readonly patient: DynamoApi;
  readonly clock: Clock;
  readonly record: SourceRecord;
  readonly from: Positions | undefined;
  readonly signal: AbortSignal;
  readonly onStarted: () => void;
  /** Goes on beside the reading; what it throws ends that. */
  readonly beside: (signal: AbortSignal) => Promise<void>;
}

interface Arrived {
  readonly reading: ShardReading;
  readonly follower: StreamFollower;
  /** Undefined: it begins. */
  readonly page: ShardPage | undefined;
}

const BOUNDS = { bytes: 4 * 1024 * 1024, readers: 16 };
/** Of a server that fails, or does not answer, in a row. */
const TRIES = 5;

export class StreamsReader {
  readonly losses: Loss[] = [];
  readonly #options: StreamsReaderOptions;
  readonly #queue = new PageQueue<Arrived, ShardReading>(BOUNDS);
  readonly #readings = new Map<string, ShardReading>();
  readonly #followers: readonly StreamFollower[];
  readonly #places: ReadonlyMap<string, ReadonlyMap<string, ShardPlace>>;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;

  constructor(options: StreamsReaderOptions) {
    const { record, from, patient: api, clock, signal } = options;
    this.#options = options;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    setMaxListeners(0, this.#signal); // each shard rests by it
    this.#places = placesOf(record, from);
    this.#followers = Object.entries(record.streams)
      .filter(([, { ended }]) => !ended)
      .map(
        ([arn, entry]) =>
          new StreamFollower({
            ...{ api, clock, signal: this.#signal, arn, entry, places: this.#places.get(arn) ?? new Map() },
            onReady: (follower, shard) => this.#begin(follower, shard),
            onLost: (loss) => this.#lose(loss),
            placeOf: (ofArn, shard) => this.#placeOf(ofArn, shard),
          }),
      );
  }

  async *read(): AsyncGenerator<readonly SourceMessage[], void> {
    const { source, record, signal, onStarted } = this.#options;
    const close = (): void => this.#queue.close();
    signal.addEventListener("abort", close);
    try {
      const began = beginnings(source, record, this.#options.from);
      if (began.length > 0) yield began;
      this.#run(async () => {
        for (const follower of this.#followers) await follower.open();
        if (this.#signal.aborted) return;
        onStarted();
        this.#run(() => this.#options.beside(this.#signal));
        for (const follower of this.#followers) this.#run(() => follower.watch());
      });
      for (let done = 0; !signal.aborted; ) {
        const next = await this.#queue.next(done);
        if (next === undefined) break;
        yield* this.#handOut(next.item);
        done = next.bytes;
      }
    } finally {
      signal.removeEventListener("abort", close);
      this.#stop.abort();
      this.#queue.close(); // who waits for an answer by now finds nothing to do
    }
  }

  /** How many shards there are, of all streams that are not read to their ends. */
  get partitions(): PartitionCounts {
    const counts = this.#followers.map(({ graph }) => graph.counts());
    const sum = (of: (one: ReturnType<ShardGraph["counts"]>) => number): number =>
      counts.reduce((all, one) => all + of(one), 0);
    return {
      reading: sum(({ ready, reading }) => ready + reading),
      waiting: sum(({ waiting }) => waiting),
      done: sum(({ done }) => done),
      gap: this.#followers.reduce((all, { entry }) => all + Object.keys(entry.lost).length, this.losses.length),
    };
  }

  /** How far the shards were fetched, by partition. */
  fetched(): ReadonlyMap<string, Position> {
    return new Map([...this.#readings.values()].map(({ partition, fetched }) => [partition, fetched]));
  }

  *#handOut({ reading, follower, page }: Arrived): Generator<readonly SourceMessage[]> {
    if (page === undefined) {
      const opened = reading.opened();
      if (opened.length > 0) yield opened;
      return;
    }
    yield* reading.chunks(page.records);
    if (!page.ended) return;
    yield reading.ended(follower.graph.childrenOf(reading.id));
    if (!this.#signal.aborted) this.#run(() => follower.ended(reading.id));
  }

  #begin(follower: StreamFollower, shard: ListedShard): void {
    const { source, config, api, clock } = this.#options;
    const { arn, entry, keyNames } = follower;
    const { table, label } = entry;
    const { mayBeTrimmed, since } = shardStart(entry, shard.id, clock.wall());
    const place = this.#places.get(arn)?.get(shard.id);
    const name = { table, label, shard: shard.id };
    const reading = new ShardReading({
      ...{ source, arn, table, label, shard, place, pace: config.poll },
      decoder: new RecordDecoder({
        ...{ source, name, arn, keyNames, encoding: config.encoding },
        isOutbox: table === config.outbox?.table,
      }),
      reader: new ShardReader({ api, arn, shard: shard.id, start: shard.start, place, mayBeTrimmed }),
      since,
    });
    this.#readings.set(reading.partition, reading);
    this.#queue.add(reading, { reading, follower, page: undefined }, 0);
    this.#run(() => this.#follow(reading, follower, shard));
  }

  async #follow(reading: ShardReading, follower: StreamFollower, shard: ListedShard): Promise<void> {
    const { clock } = this.#options;
    let failures = 0;
    while (!this.#signal.aborted) {
      try {
        const page = await this.#queue.inTurn(() => this.#fetch(reading, follower));
        failures = 0;
        if (page === undefined || page.ended) return;
        const closed = shard.closed || follower.graph.childrenOf(shard.id).length > 0;
        await clock.sleep(reading.pacer.next({ ...page, records: page.records.length, closed }), this.#signal);
      } catch (error) {
        if (error instanceof ShardLost) {
          this.#lost(reading, follower, error);
          return;
        }
        if (!(error instanceof ServerError)) throw error;
        failures++;
        if (error.refusal !== "throttled" && failures >= TRIES) throw error;
        await clock.sleep(restBehind(failures), this.#signal);
      }
    }
  }

  async #fetch(reading: ShardReading, follower: StreamFollower): Promise<ShardPage | undefined> {
    if (this.#signal.aborted) return undefined;
    const page = await reading.reader.next();
    if (this.#signal.aborted) return undefined;
    reading.fetch(page.records, this.#options.clock.now());
    if (page.records.length > 0 || page.ended) this.#queue.add(reading, { reading, follower, page }, page.bytes);
    return page;
  }

  #lost(reading: ShardReading, follower: StreamFollower, { how }: ShardLost): void {
    if (how === "gone") {
      follower.vanished(reading.id);
      return;
    }
    const { arn, id: shard } = reading;
    const { table, label } = follower.entry;
    this.#lose({ kind: "shard", arn, shard, place: reading.fetchedPlace, table, label, about: shard, gone: false });
  }

  #lose(loss: Loss): void {
    this.losses.push(loss);
    this.#fail(lossError(loss));
  }

  #fail(thrown: unknown): void {
    this.#stop.abort();
    this.#queue.fail(thrown);
  }

  #placeOf(arn: string, shard: string): ShardPlace | undefined {
    for (const reading of this.#readings.values())
      if (reading.arn === arn && reading.id === shard) return reading.fetchedPlace;
    return this.#places.get(arn)?.get(shard);
  }

  #run(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (!this.#signal.aborted) this.#fail(error instanceof MillraceError ? error : translateError(error));
    });
  }
}

/** By stream and shard: the later one of what the stream has and where a loss goes on. */
export function placesOf(
  { streams }: SourceRecord,
  from: Positions | undefined,
): ReadonlyMap<string, ReadonlyMap<string, ShardPlace>> {
  const named = [...(from ?? [])].map(([partition, position]) => ({ ...parsePartition(partition), position }));
  return new Map(
    Object.entries(streams).map(([arn, { table, label, lost }]) => {
      const places = new Map<string, ShardPlace>();
      for (const one of named)
        if (one.table === table && one.label === label) places.set(one.shard, parsePosition(one.position));
      for (const [shard, { place, gone }] of Object.entries(lost)) {
        const at = gone ? { ...placeOf(place), step: Step.ended } : placeOf(place);
        const reached = places.get(shard);
        if (reached === undefined || isBefore(reached, at)) places.set(shard, at);
      }
      return [arn, places];
    }),
  );
}

function isBefore(a: ShardPlace, b: ShardPlace): boolean {
  const [x, y] = [BigInt(a.number ?? "0"), BigInt(b.number ?? "0")];
  return x < y || (x === y && a.step < b.step);
}
