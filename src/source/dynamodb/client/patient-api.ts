// An api that waits and asks again: for as long as it is throttled, and a few times where the server fails or does not answer.

import type { Clock } from "../../../clock.ts";
import type { DynamoApi } from "./api.ts";
import type { DescribeTurns } from "./describe-turns.ts";
import { ServerError, translateError } from "./errors.ts";

export interface PatientOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly turns: DescribeTurns;
  readonly signal?: AbortSignal | undefined;
  /** How often one that is throttled is asked; for ever by default. */
  readonly throttledTries?: number;
  /** Between 0 and 1. */
  readonly random?: () => number;
}

const LEAST_MS = 200;
const MOST_MS = 5_000;
/** Of a server that fails, or does not answer. */
const TRIES = 5;

/** Ms to rest behind so many refusals in a row. Full jitter: what was refused together does not come back together. */
export function restBehind(refusals: number, random: () => number = Math.random): number {
  return random() * Math.min(MOST_MS, LEAST_MS * 2 ** (refusals - 1));
}

/** Throws TransientError where even that does not help; other refusals as they come. */
export function patientApi(options: PatientOptions): DynamoApi {
  const { api, clock, turns, signal, throttledTries = Number.POSITIVE_INFINITY, random = Math.random } = options;
  const most = { throttled: throttledTries, failed: TRIES, away: TRIES } as const;
  const patiently = async <T>(ask: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ServerError) || !isPassing(error)) throw error;
        if (tries >= most[error.refusal]) throw translateError(error);
        await clock.sleep(restBehind(tries, random), signal);
        signal?.throwIfAborted();
      }
    }
  };
  return {
    describeTable: (table) => patiently(() => api.describeTable(table)),
    listTables: (after) => patiently(() => api.listTables(after)),
    listStreams: (table, after) => patiently(() => api.listStreams(table, after)),
    tags: (arn, after) => patiently(() => api.tags(arn, after)),
    expiry: (table) => patiently(() => api.expiry(table)),
    describeStream: (arn, page) =>
      patiently(async () => {
        await turns.next(signal);
        signal?.throwIfAborted();
        return api.describeStream(arn, page);
      }),
    iterator: (arn, shard, from) => patiently(() => api.iterator(arn, shard, from)),
    records: (iterator, limit) => patiently(() => api.records(iterator, limit)),
    scan: (table, from) => patiently(() => api.scan(table, from)),
    close: () => api.close(),
  };
}

function isPassing(error: ServerError): error is ServerError & { readonly refusal: "throttled" | "failed" | "away" } {
  return error.refusal === "throttled" || error.refusal === "failed" || error.refusal === "away";
}
