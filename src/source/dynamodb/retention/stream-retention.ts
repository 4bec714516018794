// How near the source is to what its streams no longer hold: DynamoDB drops changes after a day, whoever still needs them.

import type { Clock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import type { Positions } from "../../../event/positions.ts";
import { duration, percent } from "../../../telemetry/quantities.ts";
import type { WatchContext } from "../../connector.ts";
import { FallingBack } from "../../falling-back.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../../retention.ts";
import type { DynamoApi } from "../client/api.ts";
import type { DescribeTurns } from "../client/describe-turns.ts";
import { ServerError, translateError } from "../client/errors.ts";
import { parsePartition } from "../client/partition.ts";
import { patientApi } from "../client/patient-api.ts";
import { parsePosition, Step } from "../client/position.ts";
import { readNames } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { readRecord, type SourceRecord, wantedStreams } from "../stream-record.ts";
import { KEPT_SECONDS, streamMetrics } from "./stream-metrics.ts";
import { type Survey, survey } from "./survey.ts";
import { WatchedShard } from "./watched-shard.ts";

export interface StreamRetentionOptions {
  readonly config: DynamoConfig;
  readonly connect: (config: DynamoConfig) => Promise<DynamoApi>;
  readonly clock: Clock;
  readonly turns: DescribeTurns;
  readonly context: WatchContext;
}

/** Shards that are asked at one look, which comes every ten seconds: the others have their turn at the next ones. */
const ASKED_AT_ONCE = 10;
/** Between two surveys, where the shards that are read have changed, and where they have not. */
const SURVEY_SOON_MS = 60_000;
const SURVEY_MS = 5 * 60_000;
const THROTTLED_TRIES = 4;
/** The memory may not be had for as long as the bus is away: then what was read of it last holds. */
const MEMORY_MS = 2_000;

export class StreamRetention implements RetentionProbe {
  readonly metrics: readonly RetentionMetric[];
  /** Nothing that a source does fills DynamoDB. */
  readonly full = undefined;
  readonly #options: StreamRetentionOptions;
  readonly #closed = new AbortController();
  readonly #fallingBack = new FallingBack();
  #api: DynamoApi | undefined;
  #record: SourceRecord | undefined;
  #survey: Survey | undefined;
  #surveyedAt = 0;
  #shards = new Map<string, WatchedShard>();
  #summary: string | undefined;

  constructor(options: StreamRetentionOptions) {
    this.#options = options;
    this.metrics = streamMetrics(options.config.guard);
  }

  /** @example the oldest change that waits is 3 h old (13 %), 21 h are left; 12 shards are not read to their ends, 3 of them wait for their parents */
  get summary(): string | undefined {
    return this.#summary;
  }

  async look(through: Positions | undefined): Promise<LogRetention | undefined> {
    this.#summary = undefined;
    try {
      const api = await this.#connect();
      await this.#readRecord();
      if (through === undefined || this.#record === undefined) {
        await this.#answers(api);
        return undefined;
      }
      const found = await this.#surveyed(api, this.#record, through);
      this.#reach(through);
      await this.#ask(api);
      return this.#measure(found);
    } catch (error) {
      throw translateError(error);
    }
  }

  drop(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#api?.close();
  }

  async #connect(): Promise<DynamoApi> {
    const { connect, config } = this.#options;
    this.#api ??= await connect(config);
    return this.#api;
  }

  async #readRecord(): Promise<void> {
    const { clock, context } = this.#options;
    const done = new AbortController();
    const saved = context.saved().then(readRecord, () => undefined);
    const late = clock.sleep(MEMORY_MS, AbortSignal.any([done.signal, this.#closed.signal])).then(() => undefined);
    this.#record = (await Promise.race([saved, late])) ?? this.#record;
    done.abort();
  }

  /** Whether the server is there at all. @throws ServerError, ConfigError, TransientError */
  async #answers(api: DynamoApi): Promise<void> {
    const [first] = await readNames(api, this.#options.config);
    if (first === undefined) return;
    await api.describeTable(first).catch((error: unknown) => {
      if (!(error instanceof ServerError) || error.refusal !== "unknown") throw error;
    });
  }

  /** Which shards there are: asked again after a while, and soon after the source has begun or ended some. */
  async #surveyed(api: DynamoApi, record: SourceRecord, through: Positions): Promise<Survey> {
    const { clock, turns, config } = this.#options;
    const age = clock.now() - this.#surveyedAt;
    const wanted = wantedStreams(record, config);
    if (this.#survey !== undefined && age < (this.#hasChanged(wanted, through) ? SURVEY_SOON_MS : SURVEY_MS))
      return this.#survey;
    const patient = patientApi({ api, clock, turns, signal: this.#closed.signal, throttledTries: THROTTLED_TRIES });
    try {
      const found = await survey({ api: patient, clock, record: wanted, through, signal: this.#closed.signal });
      this.#shards = new Map(
        found.shards.map((open) => [open.partition, this.#shards.get(open.partition) ?? new WatchedShard(open)]),
      );
      this.#survey = found;
      this.#surveyedAt = clock.now();
      return found;
    } catch (error) {
      // Listing is shared with the reader: it comes first, and what was found last is good for now.
      const isThrottled = error instanceof TransientError && error.code === "SOURCE_THROTTLED";
      if (this.#survey === undefined || !isThrottled) throw error;
      return this.#survey;
    }
  }

  /** Whether the source has begun or ended shards since, or what was lost may be accepted by now. */
  #hasChanged({ streams }: SourceRecord, through: Positions): boolean {
    if (this.#survey !== undefined && this.#survey.lost.length > 0) return true;
    const tables = new Set(Object.values(streams).map(({ table }) => table));
    return [...through].some(
      ([partition, position]) =>
        tables.has(parsePartition(partition).table) &&
        this.#shards.has(partition) === (parsePosition(position).step === Step.ended),
    );
  }

  #reach(through: Positions): void {
    for (const [partition, position] of through) {
      const place = parsePosition(position);
      if (place.step === Step.ended) this.#shards.delete(partition);
      else this.#shards.get(partition)?.reached(place);
    }
  }

  /** The longest overdue first. */
  async #ask(api: DynamoApi): Promise<void> {
    const { clock, context } = this.#options;
    const now = clock.now();
    const due = [...this.#shards.values()]
      .filter((shard) => shard.overdueMs(now) >= 0)
      .sort((a, b) => (a.overdueMs(now) > b.overdueMs(now) ? -1 : 1));
    const asked = context.complete ? due : due.slice(0, ASKED_AT_ONCE);
    for (let nth = 0; nth < asked.length; nth += ASKED_AT_ONCE) {
      const some = asked.slice(nth, nth + ASKED_AT_ONCE);
      const answers = await Promise.allSettled(some.map((shard) => shard.ask(api, clock.now(), clock.wall())));
      for (const answer of answers) {
        if (answer.status === "fulfilled") continue;
        const { reason } = answer;
        // Whoever reads comes first: what is throttled is asked at a later look.
        if (!(reason instanceof ServerError) || reason.refusal !== "throttled") throw reason;
        if (!context.complete) return;
      }
    }
  }

  #measure({ lost, waiting }: Survey): LogRetention {
    const { clock, config } = this.#options;
    const shards = [...this.#shards.values()];
    const gone = shards.find(({ behind }) => behind.state === "lost");
    const first = lost[0];
    if (gone !== undefined || first !== undefined) {
      this.#fallingBack.forget();
      const { table, label } = gone?.open.entry ?? first ?? { table: "", label: "" };
      this.#summary = `the stream ${label} of the table ${table} no longer holds what comes next`;
      return { lost: 1 };
    }
    const lagSeconds = Math.max(0, ...shards.map((shard) => shard.ageMs(clock.now()))) / 1000;
    const rate = this.#fallingBack.look(clock.now() / 1000, lagSeconds);
    const headroomSeconds = Math.max(0, KEPT_SECONDS - lagSeconds);
    const retentionUsed = lagSeconds / KEPT_SECONDS;
    // What is younger than the limit waits for the bus, perhaps: that is no falling back.
    const falls = rate !== undefined && rate > 0 && lagSeconds * 1000 > config.guard.lagMs;
    const timeToFullSeconds = falls ? headroomSeconds / rate : undefined;
    this.#summary = summaryOf({ lagSeconds, headroomSeconds, timeToFullSeconds, shards: shards.length, waiting });
    return { lost: 0, timeToFullSeconds, retentionUsed, lagSeconds };
  }
}

interface Measured {
  readonly lagSeconds: number;
  readonly headroomSeconds: number;
  readonly timeToFullSeconds: number | undefined;
  readonly shards: number;
  readonly waiting: number;
}

function summaryOf({ lagSeconds, headroomSeconds, timeToFullSeconds, shards, waiting }: Measured): string {
  const parents = waiting === 0 ? "" : `, ${waiting} of them behind parents`;
  const many = `${shards} ${shards === 1 ? "shard is" : "shards are"} not read to the end${parents}`;
  if (lagSeconds === 0) return `nothing waits; ${many}`;
  const forecast = timeToFullSeconds === undefined ? "" : `; it falls back, for ${duration(timeToFullSeconds)} more`;
  const used = percent(lagSeconds / KEPT_SECONDS);
  return `the oldest change that waits is ${duration(lagSeconds)} old (${used}), ${duration(headroomSeconds)} are left of the 24 h that DynamoDB keeps it${forecast}; ${many}`;
}
