// A DynamoDB source that is open: reads its tables' streams from where the stream of the bus stands.

import { setMaxListeners } from "node:events";
import type { Clock } from "../../clock.ts";
import type { HistoryLostError } from "../../errors.ts";
import { laterPositions, type Positions, withoutPartitions } from "../../event/positions.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConnectorState, Ended, Notice, PartitionCounts, Source, SourceLag, SourceMessage } from "../source.ts";
import { DynamoCopier } from "./backfill/copier.ts";
import type { DynamoApi } from "./client/api.ts";
import type { DescribeTurns } from "./client/describe-turns.ts";
import { patientApi } from "./client/patient-api.ts";
import { perMonth, type RequestRate } from "./client/request-rate.ts";
import type { ReadTable } from "./facts/facts.ts";
import { watchTables } from "./facts/table-watch.ts";
import type { DynamoConfig } from "./options/config.ts";
import { recordBehind } from "./reader/losses.ts";
import { StreamsReader } from "./reader/streams-reader.ts";
import { Unconfirmed } from "./reader/unconfirmed.ts";
import { beginRecord } from "./shards/begin-record.ts";
import { settle } from "./shards/done-shards.ts";
import { type SourceRecord, wantedStreams, withTags } from "./stream-record.ts";

export interface DynamoSourceOptions {
  readonly id: SourceId;
  readonly config: DynamoConfig;
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly turns: DescribeTurns;
  readonly memory: ConnectorState;
  readonly record: SourceRecord;
  readonly notices: readonly Notice[];
  readonly log: Logger;
  /** Of what is asked by `api`. */
  readonly rate: RequestRate;
}

/** As AWS counts them: the price of one is in its list. */
const PRICE = "AWS charges for what is above 2.5 million a month and region: https://aws.amazon.com/dynamodb/pricing/";
/** How often a page of a copy is asked for where it is throttled, before it is told of. */
const COPY_TRIES = 6;
/** A shard that is refused as throttled for so long is told of. */
const THROTTLED_MS = 60_000;

export class DynamoSource implements Source {
  readonly id: SourceId;
  readonly copier: DynamoCopier;
  readonly #options: DynamoSourceOptions;
  readonly #unconfirmed = new Unconfirmed();
  readonly #closed = new AbortController();
  #reader: StreamsReader | undefined;
  #handedOut: Positions | undefined;
  #record: SourceRecord;
  /** One change of it behind the other. */
  #saving: Promise<void> = Promise.resolve();
  #acknowledged: Positions | undefined;
  /** Partitions of which the newest reading has handed out that they are over, while they are acknowledged. */
  #told: ReadonlySet<string> = new Set();
  #notices: readonly Notice[];
  /** Told once: it holds for as long as the source is open. */
  #horizon: Notice | undefined;
  #saidRequests = false;

  constructor(options: DynamoSourceOptions) {
    this.id = options.id;
    this.#options = options;
    this.#record = options.record;
    this.#notices = options.notices;
    this.copier = this.#copier();
  }

  async *read({
    from,
    signal,
    onStarted = () => {},
  }: Parameters<Source["read"]>[0]): AsyncGenerator<readonly SourceMessage[], void> {
    const { id: source, config, api, clock, turns } = this.#options;
    if (signal.aborted) return;
    const ended = new AbortController();
    const asking = AbortSignal.any([signal, ended.signal]);
    setMaxListeners(0, asking);
    const patient = patientApi({ api, clock, turns, signal: asking });
    const reader: StreamsReader = new StreamsReader({
      ...{ source, config, api, patient, clock, record: wantedStreams(this.#record, config), from, signal },
      onStarted: () => {
        // By now it is known what is behind each shard; where that cannot be saved, the next acknowledgement tries again.
        if (reader === this.#reader) this.#settle().catch(() => {});
        this.#sayRequests(reader.partitions.reading);
        onStarted();
      },
      onHorizon: (table, shard) => this.#tellHorizon(table, shard),
      beside: (signal) =>
        watchTables({
          ...{ api: patient, config, clock, signal },
          reads: (name) =>
            Object.values(this.#record.streams).some(({ table, untagged }) => table === name && untagged !== true),
          onCome: (tables) => this.#join(reader, patient, tables),
          onNotices: (notices) => {
            // What the stream of the outbox lacks does not change while it is read.
            const kept = this.#options.notices.filter(({ code }) => code === "OUTBOX_IMAGES");
            this.#notices = [...kept, ...notices];
          },
        }),
    });
    this.#reader = reader;
    this.#handedOut = from;
    this.#told = new Set();
    try {
      for await (const chunk of reader.read()) {
        this.#unconfirmed.add(chunk);
        this.copier.handedOut(chunk);
        yield chunk;
      }
    } finally {
      ended.abort();
    }
  }

  /** Puts on record what ended the newest reading. */
  async giveUp(lost: HistoryLostError): Promise<void> {
    const losses = this.#reader?.losses ?? [];
    if (losses.length === 0) throw lost;
    await this.#save((record) => recordBehind(record, losses, this.#now()));
  }

  /** DynamoDB itself is told nothing: it keeps changes for a day, whoever reads them. Shards may be over by this. */
  async acknowledge(positions: Positions): Promise<void> {
    this.#unconfirmed.acknowledged(positions);
    this.#acknowledged = positions;
    await this.#settle();
  }

  /** What is over is on record before it is handed out. */
  async #settle(): Promise<void> {
    const [positions, reader] = [this.#acknowledged, this.#reader];
    if (positions === undefined || reader === undefined) return;
    let ends: readonly Ended[] = [];
    await this.#save((before) => {
      const { record, ends: over } = settle(before, positions, reader.graphs());
      ends = over;
      return record;
    });
    if (reader !== this.#reader) return;
    const told = this.#told;
    this.#told = new Set(ends.map(({ partition }) => partition));
    this.#handedOut = withoutPartitions(this.#handedOut, this.#told);
    reader.end(ends.filter(({ partition }) => !told.has(partition)));
  }

  /** What was fetched: no answer of DynamoDB says how far a stream goes. */
  async lag(signal: AbortSignal): Promise<SourceLag> {
    signal.throwIfAborted();
    const fetched = this.#reader?.fetched() ?? new Map();
    return {
      unsentBytes: undefined,
      unconfirmedBytes: this.#unconfirmed.bytes,
      end: laterPositions(fetched, this.#handedOut),
    };
  }

  notices(): readonly Notice[] {
    const { clock } = this.#options;
    const throttled = this.#reader?.throttledSince().filter((since) => clock.now() - since > THROTTLED_MS) ?? [];
    return [
      ...(throttled.length > 0 ? [throttledNotice(throttled.length, clock.now() - Math.min(...throttled))] : []),
      ...this.#notices,
      ...(this.#horizon === undefined ? [] : [this.#horizon]),
    ];
  }

  partitions(): PartitionCounts {
    return this.#reader?.partitions ?? { reading: 0, waiting: 0, done: 0, gap: 0 };
  }

  /** @example 12 shards are read, 3 wait for their parents; 6.1 GetRecords a second, 15.8 million in 30 days (…) */
  summary(): string | undefined {
    const { rate, clock } = this.#options;
    const perSecond = rate.perSecond(clock.now());
    if (this.#reader === undefined || perSecond === undefined) return undefined;
    const { reading, waiting, gap } = this.#reader.partitions;
    const waits = waiting === 0 ? "" : `, ${waiting} ${waiting === 1 ? "waits" : "wait"} for their parents`;
    const gaps = gap === 0 ? "" : `, ${gap} ${gap === 1 ? "has" : "have"} a gap`;
    const shards = `${reading} ${reading === 1 ? "shard is" : "shards are"} read${waits}${gaps}`;
    return `${shards}; ${perSecond.toFixed(1)} GetRecords a second, ${perMonth(perSecond)} in 30 days (${PRICE})`;
  }

  /** Once, at the start: what its reading will cost is known before the bill. */
  #sayRequests(shards: number): void {
    if (this.#saidRequests) return;
    this.#saidRequests = true;
    const { id: source, log, config } = this.#options;
    const [idle, busy] = [config.poll.maxIdleMs, config.poll.minMs].map((ms) => perMonth((shards * 1000) / ms));
    const message = `${shards} shards, each asked every ${config.poll.maxIdleMs} ms while idle, every ${config.poll.minMs} ms while not: ${idle} to ${busy} GetRecords in 30 days. ${PRICE}`;
    log.info("source_requests", { source, shards, idle, busy }, message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#options.api.close();
  }

  #copier(): DynamoCopier {
    const { config, api, clock, turns } = this.#options;
    const { signal } = this.#closed;
    return new DynamoCopier({
      ...{ config, clock, api: patientApi({ api, clock, turns, throttledTries: COPY_TRIES, signal }) },
      streams: () => wantedStreams(this.#record, config).streams,
      standing: (arn, moment) => this.#reader?.standing(arn, moment, config.scan.streamDelayMs) ?? { state: "unread" },
    });
  }

  /** Tables that have come are read from now on: on record first, for what is read of them must be gone on with. */
  async #join(reader: StreamsReader, api: DynamoApi, tables: readonly ReadTable[]): Promise<void> {
    const { config, log } = this.#options;
    const before = this.#record;
    const come = new Set(tables.map(({ table }) => table));
    // One that was read before, and has its tags again, goes on at its place.
    const tagged = (of: SourceRecord) => withTags(of, (table) => !come.has(table) && lacksTag(before, table));
    const saved = tagged(before);
    const record = await beginRecord({ api, config, tables, now: this.#now(), saved });
    const arns = Object.entries(record.streams).flatMap(([arn, entry]) => {
      const was = before.streams[arn];
      return !entry.ended && (was === undefined || (was.untagged === true && come.has(entry.table))) ? [arn] : [];
    });
    if (arns.length === 0) return;
    await this.#save((newest) => ({ ...newest, streams: { ...record.streams, ...tagged(newest).streams } }));
    for (const arn of arns) {
      log.info("source_table_joined", { source: this.id, table: record.streams[arn]?.table });
      reader.join(record, arn);
    }
  }

  /** Saves what becomes of the record, one change behind the other. @param change of the newest; the same object where nothing is to be saved */
  #save(change: (record: SourceRecord) => SourceRecord): Promise<void> {
    const saved = this.#saving.then(async () => {
      const record = change(this.#record);
      if (record === this.#record) return;
      await this.#options.memory.save(record);
      this.#record = record;
    });
    this.#saving = saved.catch(() => {}); // whoever asked for it hears of it
    return saved;
  }

  #now(): string {
    return new Date(this.#options.clock.wall()).toISOString();
  }

  #tellHorizon(table: string, shard: string): void {
    if (this.#horizon !== undefined) return;
    const message = `the server takes no number of the shard ${shard} of the table ${table} to begin at: shards are read from the oldest record that is left`;
    const hint =
      "Nothing to do where the server drops no records. Where it does, one that was dropped before is not noticed.";
    this.#horizon = { code: "TRIM_UNSEEN", message, hint };
    this.#options.log.warn("source_notice", { source: this.id, code: "TRIM_UNSEEN", hint }, message);
  }
}

function lacksTag({ streams }: SourceRecord, name: string): boolean {
  return Object.values(streams).some(({ table, untagged }) => table === name && untagged === true);
}

function throttledNotice(shards: number, ms: number): Notice {
  return {
    code: "SOURCE_THROTTLED",
    message: `${shards === 1 ? "a shard is" : `${shards} shards are`} refused as throttled, for ${Math.round(ms / 1000)} s`,
    hint: "It goes on by itself. Does something else read the same streams? No more than two readers a shard are served.",
  };
}
