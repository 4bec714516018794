// A DynamoDB source that is open: reads its tables' streams from where the stream of the bus stands.

import { setMaxListeners } from "node:events";
import type { Clock } from "../../clock.ts";
import type { HistoryLostError } from "../../errors.ts";
import { laterPositions, type Positions } from "../../event/positions.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConnectorState, Notice, PartitionCounts, Source, SourceLag, SourceMessage } from "../source.ts";
import type { DynamoApi } from "./client/api.ts";
import { patientApi } from "./client/patient-api.ts";
import { perMonth, type RequestRate } from "./client/request-rate.ts";
import { watchTables } from "./facts/table-watch.ts";
import type { DynamoConfig } from "./options/config.ts";
import { recordBehind } from "./reader/losses.ts";
import { StreamsReader } from "./reader/streams-reader.ts";
import { Unconfirmed } from "./reader/unconfirmed.ts";
import type { SourceRecord } from "./stream-record.ts";

export interface DynamoSourceOptions {
  readonly id: SourceId;
  readonly config: DynamoConfig;
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly memory: ConnectorState;
  readonly record: SourceRecord;
  readonly notices: readonly Notice[];
  readonly log: Logger;
  /** Of what is asked by `api`. */
  readonly rate: RequestRate;
}

/** As AWS counts them: the price of one is in its list. */
const PRICE = "AWS charges for what is above 2.5 million a month and region: https://aws.amazon.com/dynamodb/pricing/";

export class DynamoSource implements Source {
  readonly id: SourceId;
  readonly #options: DynamoSourceOptions;
  readonly #unconfirmed = new Unconfirmed();
  #reader: StreamsReader | undefined;
  #handedOut: Positions | undefined;
  #notices: readonly Notice[];
  #saidRequests = false;

  constructor(options: DynamoSourceOptions) {
    this.id = options.id;
    this.#options = options;
    this.#notices = options.notices;
  }

  async *read({
    from,
    signal,
    onStarted = () => {},
  }: Parameters<Source["read"]>[0]): AsyncGenerator<readonly SourceMessage[], void> {
    const { id: source, config, api, clock, record } = this.#options;
    if (signal.aborted) return;
    const ended = new AbortController();
    const asking = AbortSignal.any([signal, ended.signal]);
    setMaxListeners(0, asking);
    const patient = patientApi({ api, clock, signal: asking });
    const reader = new StreamsReader({
      ...{ source, config, api, patient, clock, record, from, signal },
      onStarted: () => {
        this.#sayRequests(reader.partitions.reading);
        onStarted();
      },
      beside: (signal) =>
        watchTables({
          ...{ api: patient, config, clock, signal },
          read: new Set(Object.values(record.streams).map(({ table }) => table)),
          onNotices: (notices) => {
            this.#notices = notices;
          },
        }),
    });
    this.#reader = reader;
    this.#handedOut = from;
    try {
      for await (const chunk of reader.read()) {
        this.#unconfirmed.add(chunk);
        yield chunk;
      }
    } finally {
      ended.abort();
    }
  }

  /** Puts on record what ended the newest reading. */
  async giveUp(lost: HistoryLostError): Promise<void> {
    const { memory, record, clock } = this.#options;
    const losses = this.#reader?.losses ?? [];
    if (losses.length === 0) throw lost;
    await memory.save(recordBehind(record, losses, new Date(clock.wall()).toISOString()));
  }

  /** Nothing to tell: DynamoDB keeps changes for a day, whoever reads them. */
  async acknowledge(positions: Positions): Promise<void> {
    this.#unconfirmed.acknowledged(positions);
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
    return this.#notices;
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
    this.#options.api.close();
  }
}
