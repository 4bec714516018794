// Reads one shard page by page. An iterator is thrown away whenever it may be stale: the sequence number is what counts.

import type { DynamoApi, From } from "../client/api.ts";
import { ServerError } from "../client/errors.ts";
import { type ShardPlace, Step } from "../client/position.ts";
import type { RawRecord } from "../decode/record.ts";

/** Nothing of what was to come next can ever be had. */
export class ShardLost extends Error {
  /** `trimmed`: what comes behind it may be there; `gone`: nothing of the shard is left. */
  readonly how: "trimmed" | "gone";

  constructor(how: "trimmed" | "gone", cause: ServerError) {
    super(cause.message, { cause });
    this.how = how;
  }
}

export interface ShardPage {
  readonly records: readonly RawRecord[];
  readonly bytes: number;
  /** The shard is closed, and this was the last of it. */
  readonly ended: boolean;
}

export interface ShardReaderOptions {
  readonly api: DynamoApi;
  readonly arn: string;
  readonly shard: string;
  /** The first number that it may hold. */
  readonly start: string | undefined;
  /** How far the stream has it. */
  readonly place: ShardPlace | undefined;
  /** What is older than the server keeps was never to be read. */
  readonly mayBeTrimmed: boolean;
}

/** Records on a page, at most. */
const PAGE_RECORDS = 1000;

export class ShardReader {
  readonly #options: ShardReaderOptions;
  #iterator: string | undefined;
  /** The newest record that was read. */
  #number: string | undefined;

  constructor(options: ShardReaderOptions) {
    this.#options = options;
    const { place } = options;
    if (place?.step === Step.record) this.#number = place.number;
  }

  /** What comes next; empty where nothing has come yet. @throws ShardLost, ServerError, TransientError, ConfigError */
  async next(): Promise<ShardPage> {
    for (;;) {
      this.#iterator ??= await this.#iterate();
      try {
        const { records, bytes, next } = await this.#options.api.records(this.#iterator, PAGE_RECORDS);
        this.#iterator = next;
        this.#number = records.at(-1)?.dynamodb.SequenceNumber ?? this.#number;
        return { records, bytes, ended: next === undefined };
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        if (error.refusal === "unknown") throw new ShardLost("gone", error);
        // Whether something is lost is told by asking for what comes behind the newest number.
        if (error.refusal !== "expired" && error.refusal !== "trimmed") throw error;
        this.#iterator = undefined;
      }
    }
  }

  async #iterate(): Promise<string> {
    const { api, arn, shard } = this.#options;
    const number = this.#number;
    try {
      if (number !== undefined) return await api.iterator(arn, shard, { at: "behind", number });
      return await this.#begin();
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.refusal === "unknown") throw new ShardLost("gone", error);
      if (error.refusal === "trimmed" || error.refusal === "invalid") throw new ShardLost("trimmed", error);
      throw error;
    }
  }

  /** At the shard's first number rather than at the oldest record that is left, which would hide that some are not. */
  async #begin(): Promise<string> {
    const { api, arn, shard, start, place, mayBeTrimmed } = this.#options;
    const oldest: From = { at: "horizon" };
    if (start === undefined || mayBeTrimmed || place?.step === Step.lost) return api.iterator(arn, shard, oldest);
    try {
      return await api.iterator(arn, shard, { at: "number", number: start });
    } catch (error) {
      // A server may refuse the number where there is no record of it.
      if (error instanceof ServerError && error.refusal === "invalid") return api.iterator(arn, shard, oldest);
      throw error;
    }
  }
}
