// What a test makes go wrong: requests that are refused, broken or late, all of an operation or so many of them.

import type { Clock } from "../../clock.ts";
import { ConnectionReset, DynamoFault } from "./fault.ts";

export interface Trouble {
  /** Which operations it meets; all by default. */
  readonly operations?: readonly string[];
  /** Only requests whose JSON has this text: a table's name, a shard's id. */
  readonly naming?: string;
  /** How many requests; all by default. */
  times?: number;
  /** The share of requests, by the double's own random numbers; all by default. */
  readonly share?: number;
  readonly what:
    | { readonly kind: "refuse"; readonly type: string; readonly message?: string; readonly status?: number }
    | { readonly kind: "reset" }
    | { readonly kind: "delay"; readonly ms: number }
    /** An answer that is none of the server's: a proxy's page. */
    | { readonly kind: "answer"; readonly status: number; readonly contentType: string; readonly body: string };
}

/** An answer that stands instead of the server's. */
export class StrangeAnswer extends Error {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;

  constructor({ status, contentType, body }: Pick<StrangeAnswer, "status" | "contentType" | "body">) {
    super(`${status}`);
    this.status = status;
    this.contentType = contentType;
    this.body = body;
  }
}

/** `throttled: true` refuses like a stream that is read too often. */
export const THROTTLED = {
  kind: "refuse",
  type: "ProvisionedThroughputExceededException",
  message: "The level of configured provisioned throughput for the table was exceeded",
} as const;
/** Like a server with a fault. */
export const FAILED = {
  kind: "refuse",
  type: "InternalServerError",
  message: "The server encountered an internal error trying to fulfill the request",
  status: 500,
} as const;

export class Troubles {
  readonly #random: () => number;
  readonly #clock: Clock;
  #all: Trouble[] = [];

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Begins it; the function ends it. */
  add(trouble: Trouble): () => void {
    const own = { ...trouble };
    this.#all.push(own);
    return () => {
      this.#all = this.#all.filter((one) => one !== own);
    };
  }

  clear(): void {
    this.#all = [];
  }

  /** @throws DynamoFault, ConnectionReset, StrangeAnswer for a request that it meets; waits where that is what it meets */
  async meet(operation: string, request: string): Promise<void> {
    for (const trouble of this.#all) {
      const { operations, naming, share = 1, times = Number.POSITIVE_INFINITY, what } = trouble;
      if (operations !== undefined && !operations.includes(operation)) continue;
      if (naming !== undefined && !request.includes(naming)) continue;
      if (times <= 0 || this.#random() >= share) continue;
      trouble.times = times - 1;
      if (what.kind === "delay") await this.#clock.sleep(what.ms);
      else throw thrownFor(what);
    }
  }
}

function thrownFor(what: Exclude<Trouble["what"], { readonly kind: "delay" }>): Error {
  if (what.kind === "reset") return new ConnectionReset();
  if (what.kind === "answer") return new StrangeAnswer(what);
  return new DynamoFault(what.type, what.message ?? "", what.status ?? 400);
}
