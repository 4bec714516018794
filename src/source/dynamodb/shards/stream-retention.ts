// How near the source is to what its streams no longer hold: DynamoDB drops changes after a day, whoever still needs them.

import type { Clock } from "../../../clock.ts";
import type { Position } from "../../../event/position.ts";
import type { Positions } from "../../../event/positions.ts";
import { duration } from "../../../telemetry/quantities.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../../retention.ts";
import type { DynamoApi } from "../client/api.ts";
import { ServerError, translateError } from "../client/errors.ts";
import { parsePartition } from "../client/partition.ts";
import { parsePosition, Step } from "../client/position.ts";
import { createdAt } from "../decode/record.ts";
import { readFacts } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";

const DAY_SECONDS = 24 * 3600;
const LAG_LIMIT_SECONDS = 300;
const USED_LIMIT = 0.5;
/** A shard whose place moves is read; of one that rests it is asked, at most so often, whether something waits there. */
const ASK_EVERY_MS = 60_000;

export const retentionMetrics: readonly RetentionMetric[] = [
  {
    name: "lost",
    unit: undefined,
    help: "1 when a shard no longer holds what comes next for the source.",
    limit: 0,
    means: "lost",
    hint: "What was not read is lost to the stream.",
    alarm: () => "a shard no longer holds what comes next: what was not read is lost",
  },
  {
    name: "retentionUsed",
    unit: "ratio",
    help: "How old the oldest change is that is not acknowledged, as a share of the 24 hours that DynamoDB keeps it.",
    limit: USED_LIMIT,
    hint: "The source is about to lose changes: see why it does not go on.",
    alarm: (value, limit) =>
      `the oldest change that is not acknowledged has used ${percent(value)} of its 24 hours, more than ${percent(limit)}`,
  },
  {
    name: "lagSeconds",
    unit: "seconds",
    help: "Age of the oldest change that is not acknowledged.",
    limit: LAG_LIMIT_SECONDS,
    means: "lag",
    hint: "The source does not keep up, or does not move.",
    alarm: (value, limit) =>
      `the oldest change that is not acknowledged is ${duration(value)} old, more than ${duration(limit)}`,
  },
];

export interface StreamRetentionOptions {
  readonly config: DynamoConfig;
  readonly connect: (config: DynamoConfig) => Promise<DynamoApi>;
  readonly clock: Clock;
}

/** What is known of a shard's place that was acknowledged. */
interface Seen {
  readonly position: Position;
  /** When it was asked last, or its place moved; ms of the clock. */
  readonly at: number;
  /** Ms since 1970: when what comes behind it was written; undefined where nothing does. */
  readonly waitsSince: number | undefined;
  readonly lost: boolean;
}

export class StreamRetention implements RetentionProbe {
  readonly metrics = retentionMetrics;
  /** Nothing that a source does fills DynamoDB. */
  readonly full = undefined;
  readonly #options: StreamRetentionOptions;
  #api: DynamoApi | undefined;
  #arns = new Map<string, string>();
  #seen = new Map<string, Seen>();

  constructor(options: StreamRetentionOptions) {
    this.#options = options;
  }

  async look(through: Positions | undefined): Promise<LogRetention | undefined> {
    const { clock } = this.#options;
    try {
      const api = await this.#connect();
      if (through === undefined) return undefined;
      const seen = new Map<string, Seen>();
      for (const [partition, position] of through) {
        if (parsePosition(position).step === Step.ended) continue;
        seen.set(partition, await this.#look(api, partition, position));
      }
      this.#seen = seen;
      if (seen.size === 0) return undefined;
      if ([...seen.values()].some(({ lost }) => lost)) return { lost: 1 };
      const oldest = Math.min(...[...seen.values()].map(({ waitsSince }) => waitsSince ?? Number.POSITIVE_INFINITY));
      const lagSeconds = Number.isFinite(oldest) ? Math.max(0, clock.wall() - oldest) / 1000 : 0;
      return { lost: 0, retentionUsed: lagSeconds / DAY_SECONDS, lagSeconds };
    } catch (error) {
      throw translateError(error);
    }
  }

  drop(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#api?.close();
  }

  async #look(api: DynamoApi, partition: string, position: Position): Promise<Seen> {
    const now = this.#options.clock.now();
    const before = this.#seen.get(partition);
    if (before?.position !== position) return { position, at: now, waitsSince: undefined, lost: false };
    if (now - before.at < ASK_EVERY_MS) return before;
    const { number } = parsePosition(position);
    const { table, label, shard } = parsePartition(partition);
    const arn = this.#arns.get(`${table}/${label}`);
    if (number === undefined || arn === undefined) return { ...before, at: now };
    try {
      const iterator = await api.iterator(arn, shard, { at: "behind", number });
      const [first] = (await api.records(iterator, 1)).records;
      return { position, at: now, waitsSince: first && createdAt(first), lost: false };
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      return { ...before, at: now, lost: error.refusal === "trimmed" };
    }
  }

  /** @throws ConfigError, TransientError */
  async #connect(): Promise<DynamoApi> {
    const { connect, config } = this.#options;
    if (this.#api !== undefined) return this.#api;
    const api = await connect(config);
    try {
      const { tables } = await readFacts(api, config);
      for (const { table, stream } of tables) if (stream) this.#arns.set(`${table}/${stream.label}`, stream.arn);
      this.#api = api;
      return api;
    } catch (error) {
      api.close();
      throw error;
    }
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
