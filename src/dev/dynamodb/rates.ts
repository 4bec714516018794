// The documented rates of DynamoDB Streams, where the double is told to hold them.

import { DynamoFault } from "./fault.ts";
import type { DynamoState } from "./state.ts";
import { type Input, shardOfToken } from "./stream-operations.ts";

const SECOND_MS = 1000;
const GET_RECORDS = 5;
const DESCRIBE_STREAM = 10;

export class Rates {
  readonly #state: DynamoState;
  readonly #taken = new Map<string, number[]>();

  constructor(state: DynamoState) {
    this.#state = state;
  }

  /** @throws DynamoFault for a request above the rate */
  take(operation: string, input: Input): void {
    if (!this.#state.settings.holdsRates) return;
    if (operation === "DescribeStream") this.#count(operation, DESCRIBE_STREAM, "LimitExceededException");
    if (operation === "GetRecords")
      this.#count(shardOfToken(input.ShardIterator), GET_RECORDS, "ProvisionedThroughputExceededException");
  }

  #count(what: string, most: number, type: string): void {
    const now = this.#state.clock.now();
    const taken = (this.#taken.get(what) ?? []).filter((at) => at > now - SECOND_MS);
    if (taken.length >= most) throw new DynamoFault(type, "Rate exceeded");
    this.#taken.set(what, [...taken, now]);
  }
}
