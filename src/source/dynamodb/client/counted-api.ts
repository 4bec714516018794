// An api whose requests are counted: what is paid for, and what was refused.

import type { Clock } from "../../../clock.ts";
import type { SourceCount } from "../../source.ts";
import type { DynamoApi } from "./api.ts";
import { ServerError } from "./errors.ts";
import type { RequestRate } from "./request-rate.ts";

export interface CountedOptions {
  readonly api: DynamoApi;
  readonly clock: Clock;
  readonly count: (what: SourceCount) => void;
  /** Of the requests that are paid for. */
  readonly rate: RequestRate;
}

/** Each `GetRecords` counts as a request, answered or not, as on AWS' bill; what is refused is thrown as it comes. */
export function countedApi({ api, clock, count, rate }: CountedOptions): DynamoApi {
  const counted = async <T>(asked: Promise<T>): Promise<T> => {
    try {
      return await asked;
    } catch (error) {
      if (error instanceof ServerError && error.refusal === "throttled") count("throttled");
      if (error instanceof ServerError && error.refusal === "expired") count("iteratorsExpired");
      throw error;
    }
  };
  return {
    describeTable: (table) => counted(api.describeTable(table)),
    listTables: (after) => counted(api.listTables(after)),
    listStreams: (table, after) => counted(api.listStreams(table, after)),
    tags: (arn, after) => counted(api.tags(arn, after)),
    expiry: (table) => counted(api.expiry(table)),
    describeStream: (arn, options) => counted(api.describeStream(arn, options)),
    iterator: (arn, shard, from) => counted(api.iterator(arn, shard, from)),
    records: (iterator, limit) => {
      count("requests");
      rate.add(clock.now());
      return counted(api.records(iterator, limit));
    },
    scan: (table, from) => counted(api.scan(table, from)),
    close: () => api.close(),
  };
}
