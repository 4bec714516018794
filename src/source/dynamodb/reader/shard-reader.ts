// Reads one shard page by page. An iterator is thrown away whenever it may be stale: the sequence number is what counts.

import type { DynamoApi, From } from "../client/api.ts";
import { type Refusal, ServerError } from "../client/errors.ts";
import { isBeforeNumber, type ShardPlace, Step } from "../client/position.ts";
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
  /** What is older than the server keeps was never to be read, or is on record as lost. */
  readonly mayBeTrimmed: boolean;
  /** The server refuses a number: it is asked for the oldest that is left, which hides what was dropped before. */
  readonly onHorizon?: () => void;
  /** Whether the server lists it as closed by now. */
  readonly isClosed?: () => boolean;
}

/** Records on a page, at most. */
const PAGE_RECORDS = 1000;
/** So many answers in a row that an iterator is stale are no matter of time any more. */
const STALE_TRIES = 3;

export class ShardReader {
  readonly #options: ShardReaderOptions;
  #iterator: string | undefined;
  /** The newest record that was read. */
  #number: string | undefined;
  /** Whether the server has said that nothing comes behind that. */
  #saysEnd = false;

  constructor(options: ShardReaderOptions) {
    this.#options = options;
    const { place } = options;
    if (place?.step === Step.record) this.#number = place.number;
  }

  /** What comes next; empty where nothing has come yet. @throws ShardLost, ServerError, TransientError, ConfigError */
  async next(): Promise<ShardPage> {
    for (let tries = 1; ; tries++) {
      this.#iterator ??= await this.#iterate();
      try {
        const page = await this.#options.api.records(this.#iterator, PAGE_RECORDS);
        const records = this.#unread(page.records);
        this.#iterator = page.next;
        this.#number = records.at(-1)?.dynamodb.SequenceNumber ?? this.#number;
        this.#saysEnd = page.next === undefined || (this.#saysEnd && records.length === 0);
        const mayEnd = this.#saysEnd && (page.next === undefined || this.#isClosed);
        return { records, bytes: page.bytes, ended: mayEnd && (await this.#hasEnded()) };
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        if (error.refusal === "unknown") throw new ShardLost("gone", error);
        const isStale = error.refusal === "expired" || error.refusal === "trimmed" || error.refusal === "invalid";
        // Whether something is lost is told by asking for what comes behind the newest number.
        if (isStale) this.#iterator = undefined;
        if (!isStale || error.refusal === "invalid" || tries === STALE_TRIES) throw error;
      }
    }
  }

  /** A server may answer once without another iterator though more comes: what comes behind the newest number tells. */
  async #hasEnded(): Promise<boolean> {
    try {
      const iterator = await this.#iterate();
      const { records, next } = await this.#options.api.records(iterator, PAGE_RECORDS);
      return this.#unread(records).length === 0 && (next === undefined || this.#isClosed);
    } catch {
      return false; // asked again, it says so again
    }
  }

  get #isClosed(): boolean {
    return this.#options.isClosed?.() === true;
  }

  /** None that were read, whatever leads to them again: an iterator from the oldest record on, or a server's fault. */
  #unread(records: readonly RawRecord[]): readonly RawRecord[] {
    const number = this.#number;
    const [first] = records;
    if (number === undefined || first === undefined || isBeforeNumber(number, first.dynamodb.SequenceNumber))
      return records;
    return records.filter(({ dynamodb }) => isBeforeNumber(number, dynamodb.SequenceNumber));
  }

  async #iterate(): Promise<string> {
    try {
      return this.#number === undefined ? await this.#begin() : await this.#behind(this.#number);
    } catch (error) {
      if (isRefused(error, "unknown")) throw new ShardLost("gone", error);
      if (isRefused(error, "trimmed")) throw new ShardLost("trimmed", error);
      throw error;
    }
  }

  async #behind(number: string): Promise<string> {
    const { api, arn, shard, onHorizon } = this.#options;
    try {
      return await api.iterator(arn, shard, { at: "behind", number });
    } catch (error) {
      if (!isRefused(error, "invalid")) throw error;
      // The oldest record that is left tells whether any behind the number may be gone.
      const oldest = await oldestNumber(api, arn, shard);
      if (oldest === undefined || isBeforeNumber(number, oldest)) throw new ShardLost("trimmed", error);
      onHorizon?.();
      return api.iterator(arn, shard, HORIZON);
    }
  }

  /** At the shard's first number rather than at the oldest record that is left, which would hide that some are not. */
  async #begin(): Promise<string> {
    const { api, arn, shard, start, place, mayBeTrimmed, onHorizon } = this.#options;
    const number = place?.step === Step.behindLoss ? place.number : start;
    if (number === undefined || mayBeTrimmed) return api.iterator(arn, shard, HORIZON);
    try {
      return await api.iterator(arn, shard, { at: "number", number });
    } catch (error) {
      // A server may refuse the number where there is no record of it.
      if (!isRefused(error, "invalid")) throw error;
      onHorizon?.();
      return api.iterator(arn, shard, HORIZON);
    }
  }
}

const HORIZON: From = { at: "horizon" };
/** An empty page need not be the end. */
const EMPTY_PAGES = 5;

/** Of the oldest record that a shard still holds. @throws ServerError, TransientError, ConfigError */
export async function oldestNumber(
  api: Pick<DynamoApi, "iterator" | "records">,
  arn: string,
  shard: string,
): Promise<string | undefined> {
  let iterator: string | undefined = await api.iterator(arn, shard, HORIZON);
  for (let left = EMPTY_PAGES; left > 0 && iterator !== undefined; left--) {
    const { records, next } = await api.records(iterator, 1);
    const [first] = records;
    if (first !== undefined) return first.dynamodb.SequenceNumber;
    iterator = next;
  }
  return undefined;
}

/** Whether some of what a shard has held is gone, as far as the server tells. @throws ServerError, TransientError, ConfigError */
export async function isTrimmed(
  api: Pick<DynamoApi, "iterator">,
  arn: string,
  { id, start }: { readonly id: string; readonly start: string | undefined },
): Promise<boolean> {
  if (start === undefined) return false;
  try {
    await api.iterator(arn, id, { at: "number", number: start });
    return false;
  } catch (error) {
    if (isRefused(error, "trimmed")) return true;
    if (isRefused(error, "invalid") || isRefused(error, "unknown")) return false;
    throw error;
  }
}

function isRefused(error: unknown, refusal: Refusal): error is ServerError {
  return error instanceof ServerError && error.refusal === refusal;
}
