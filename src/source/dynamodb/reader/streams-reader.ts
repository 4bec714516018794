// Reads all shards of all streams of a source side by side, each in its order, a child behind its parent; hands out what comes first.

import { setMaxListeners } from "node:events";
import { type Clock, WakeUp, within } from "../../../clock.ts";
import { MillraceError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { Positions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Ended, PartitionCounts, SourceMessage } from "../../source.ts";
import type { DynamoApi } from "../client/api.ts";
import { translateError } from "../client/errors.ts";
import type { ShardPlace } from "../client/position.ts";
import { RecordDecoder } from "../decode/record-decoder.ts";
import type { DynamoConfig } from "../options/config.ts";
import { knownOf } from "../shards/done-shards.ts";
import type { ListedShard, ShardGraph } from "../shards/shard-graph.ts";
import { type SourceRecord, type StreamEntry, streamBehind, waitsForStream } from "../stream-record.ts";
import { beginnings } from "./beginnings.ts";
import { concludeLosses } from "./conclude-losses.ts";
import { type Loss, lossError } from "./losses.ts";
import { PageQueue } from "./page-queue.ts";
import { placesOf } from "./places.ts";
import { pollShard } from "./poll-shard.ts";
import { type ShardPage, ShardReader } from "./shard-reader.ts";
import { ShardReading } from "./shard-reading.ts";
import { shardStart } from "./shard-start.ts";
import type { Moment } from "./shard-tip.ts";
import { StreamFollower } from "./stream-follower.ts";
import { type StreamStanding, standingOf } from "./stream-standing.ts";

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
  /** A shard is read from its oldest record, for the server knows no number of it: what was dropped before is not seen. */
  readonly onHorizon: (table: string, shard: string) => void;
  /** Goes on beside the reading; what it throws ends that. */
  readonly beside: (signal: AbortSignal) => Promise<void>;
  /** Between 0 and 1. */
  readonly random?: () => number;
}

type Places = ReturnType<typeof placesOf>;
type Chunks = Iterable<readonly SourceMessage[]>;

/** Waiting pages, and those that are asked for. */
const BOUNDS = { bytes: 8 * 1024 * 1024, readers: 16 };
/** What is found lost soon behind the first of it is one matter with it. */
const CONCLUDE_MS = 10_000;

export class StreamsReader {
  readonly #options: StreamsReaderOptions;
  readonly #queue = new PageQueue<() => Chunks, ShardReading | StreamsReader>(BOUNDS);
  readonly #readings = new Map<string, ShardReading>();
  readonly #followers: StreamFollower[] = [];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Shards that are read and were not answered yet; and that one of them was. */
  readonly #unanswered = new Set<ShardReading>();
  readonly #answered = new WakeUp();
  #opened: Promise<unknown> = Promise.resolve();
  #losses: readonly Loss[] = [];

  constructor(options: StreamsReaderOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    setMaxListeners(0, this.#signal); // each shard rests by it
  }

  /** What has ended the reading. */
  get losses(): readonly Loss[] {
    return this.#losses;
  }

  async *read(): AsyncGenerator<readonly SourceMessage[], void> {
    const { source, record, from, signal, onStarted, beside } = this.#options;
    const close = (): void => this.#queue.close();
    signal.addEventListener("abort", close);
    try {
      const began = beginnings(source, record, from);
      if (began.length > 0) yield began;
      const streams = Object.entries(record.streams).filter(
        ([, entry]) => !(entry.ended || waitsForStream(record, entry)),
      );
      const places = placesOf(record, from);
      const followers = streams.map(([arn, entry]) => this.#follower(record, places, arn, entry));
      this.#run(async () => {
        this.#opened = Promise.allSettled(followers.map((follower) => follower.open()));
        await Promise.all(followers.map((follower) => follower.open()));
        if (this.#signal.aborted) return;
        onStarted();
        this.#run(() => beside(this.#signal));
        for (const follower of followers) this.#run(() => follower.watch());
      });
      for (let done = 0; !signal.aborted; ) {
        const next = await this.#queue.next(done);
        if (next === undefined) break;
        for (const chunk of next.item()) if (chunk.length > 0) yield chunk;
        done = next.bytes;
      }
    } finally {
      signal.removeEventListener("abort", close);
      this.#stop.abort();
      this.#queue.close(); // who waits for an answer by now finds nothing to do
    }
  }

  /** Reads one more stream from now on. @param record has it */
  join(record: SourceRecord, arn: string): void {
    const { source, from } = this.#options;
    const entry = record.streams[arn];
    if (entry === undefined || this.#signal.aborted) return;
    this.#queue.add(this, () => [beginnings(source, { ...record, streams: { [arn]: entry } }, from)], 0);
    if (!waitsForStream(record, entry)) this.#goOn(record, placesOf(record, from), arn, entry);
  }

  /** How many shards there are, of all streams that are not read to their ends. */
  get partitions(): PartitionCounts {
    const counts = this.#followers.map(({ graph }) => graph.counts());
    const lost = Object.values(this.#options.record.streams).filter(({ ended }) => !ended);
    const sum = (of: (one: ReturnType<ShardGraph["counts"]>) => number): number =>
      counts.reduce((all, one) => all + of(one), 0);
    return {
      reading: sum(({ ready, reading }) => ready + reading),
      waiting: sum(({ waiting }) => waiting),
      done: sum(({ done }) => done),
      gap: lost.reduce((all, one) => all + Object.keys(one.lost).length, this.#losses.length),
    };
  }

  /** How far the shards were fetched, by partition. */
  fetched(): ReadonlyMap<string, Position> {
    return new Map([...this.#readings.values()].map(({ partition, fetched }) => [partition, fetched]));
  }

  /** Of the shards that are refused as throttled all the time: since when, ms of the clock. */
  throttledSince(): readonly number[] {
    return [...this.#readings.values()].flatMap(({ throttledSince }) => throttledSince ?? []);
  }

  /** How a stream is read: whether all that it took until a moment was handed out. @param delayMs how late it may come, at most */
  standing(arn: string, moment: Moment, delayMs: number): StreamStanding {
    const follower = this.#followers.find((one) => one.arn === arn);
    const readings = [...this.#readings.values()].filter((reading) => reading.arn === arn);
    return standingOf(follower, readings, moment, delayMs);
  }

  /** Hands out that the places of these shards need not be kept. */
  end(ends: readonly Ended[]): void {
    for (const { partition } of ends) this.#readings.delete(partition);
    if (ends.length > 0) this.#queue.add(this, () => [ends], 0);
  }

  /** Of the streams that are read, by their ARNs. */
  graphs(): ReadonlyMap<string, ShardGraph> {
    return new Map(this.#followers.map(({ arn, graph }) => [arn, graph]));
  }

  #follower(record: SourceRecord, of: Places, arn: string, entry: StreamEntry): StreamFollower {
    const { patient: api, clock } = this.#options;
    const { table, label } = entry;
    const behind = streamBehind(record, entry);
    const places = of.get(arn) ?? new Map<string, ShardPlace>();
    const follower = new StreamFollower({
      ...{ api, clock, signal: this.#signal, arn, table, label, places, ...knownOf(entry, places) },
      onReady: (shard) => this.#begin(follower, entry, shard, places.get(shard.id)),
      onLost: (loss) => this.#lose(loss),
      onDone: behind && (() => this.#goOn(record, of, behind.arn, behind.entry)),
      placeOf: (shard) => this.#readingOf(arn, shard)?.fetchedPlace ?? places.get(shard),
    });
    this.#followers.push(follower);
    return follower;
  }

  #goOn(record: SourceRecord, places: Places, arn: string, entry: StreamEntry): void {
    const follower = this.#follower(record, places, arn, entry);
    this.#run(async () => {
      await follower.open();
      await follower.watch();
    });
  }

  #begin(follower: StreamFollower, entry: StreamEntry, shard: ListedShard, place: ShardPlace | undefined): void {
    const { source, config, api, clock, random, onHorizon } = this.#options;
    const { arn, table, label, keyNames } = follower;
    const name = { table, label, shard: shard.id };
    const { mayBeTrimmed, since } = shardStart(entry, shard.id, place, clock.wall());
    const reading = new ShardReading({
      ...{ source, arn, table, label, shard, place, pace: config.poll },
      decoder: new RecordDecoder({
        ...{ source, name, arn, keyNames, encoding: config.encoding },
        isOutbox: table === config.outbox?.table,
      }),
      reader: new ShardReader({
        ...{ api, arn, shard: shard.id, start: shard.start, place, mayBeTrimmed },
        onHorizon: () => onHorizon(table, shard.id),
        isClosed: () => follower.isClosed(shard),
      }),
      since,
    });
    this.#readings.set(reading.partition, reading);
    this.#unanswered.add(reading);
    this.#queue.add(reading, () => [reading.opened()], 0);
    // What a first start finds of before it may be gone before it is read, and stay listed for a while.
    const mayBeOver = place === undefined && mayBeTrimmed && since === undefined;
    this.#run(() =>
      pollShard({
        ...{ reading, shard, follower, mayBeOver, queue: this.#queue, clock, random, signal: this.#signal },
        arrived: (page) => this.#arrive(reading, follower, page),
        answered: () => this.#answer(reading),
        lost: (loss) => this.#lose(loss),
      }),
    );
  }

  #arrive(reading: ShardReading, follower: StreamFollower, page: ShardPage): void {
    this.#queue.add(reading, () => this.#handOut(reading, follower, page), page.bytes);
  }

  *#handOut(reading: ShardReading, follower: StreamFollower, page: ShardPage): Generator<readonly SourceMessage[]> {
    yield* reading.chunks(page.records);
    if (page.ended) yield reading.ended(follower.graph.childrenOf(reading.id));
    // Whoever asks for more has taken note of what came before.
    reading.handedOut(page);
    if (page.ended && !this.#signal.aborted) follower.ended(reading.id);
  }

  #answer(reading: ShardReading): void {
    if (this.#unanswered.delete(reading)) this.#answered.set();
  }

  /** Behind the first loss the others that are there are found as well: it is one decision for all. */
  #lose(loss: Loss): void {
    this.#losses = [...this.#losses, loss];
    if (this.#losses.length > 1) return;
    this.#run(async () => {
      const { patient: api, clock } = this.#options;
      await within(clock, CONCLUDE_MS, this.#allAnswered());
      const followers = this.#followers.filter(({ holds }) => holds);
      const found = this.#losses;
      const concluded = await concludeLosses({ api, clock, signal: this.#signal, losses: found, followers });
      if (this.#signal.aborted) return;
      const [first = loss, ...more] = concluded;
      this.#losses = concluded;
      this.#fail(lossError([first, ...more]));
    });
  }

  async #allAnswered(): Promise<void> {
    await this.#opened;
    while (this.#unanswered.size > 0 && !this.#signal.aborted) await this.#answered.wait();
  }

  #fail(thrown: unknown): void {
    this.#stop.abort();
    this.#queue.fail(thrown);
  }

  #readingOf(arn: string, shard: string): ShardReading | undefined {
    for (const reading of this.#readings.values()) if (reading.arn === arn && reading.id === shard) return reading;
    return undefined;
  }

  #run(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (!this.#signal.aborted) this.#fail(error instanceof MillraceError ? error : translateError(error));
    });
  }
}
