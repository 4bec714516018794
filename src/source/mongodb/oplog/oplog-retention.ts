// How near the source is to falling off the oplog: MongoDB drops old entries whoever still needs them.

import type { MongoClient } from "mongodb";
import { ConfigError } from "../../../errors.ts";
import { onlyPosition, type Positions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../../retention.ts";
import { connectMongo } from "../client/connect.ts";
import { translateError } from "../client/errors.ts";
import { type ClusterTime, isEarlier, parsePosition, readThrough } from "../client/position.ts";
import { type OplogFacts, readOplog, readTime } from "../facts/server-facts.ts";
import type { MongoConfig } from "../options/config.ts";
import { oplogMetrics } from "./oplog-metrics.ts";

export class OplogRetention implements RetentionProbe {
  readonly metrics: readonly RetentionMetric[];
  /** Nothing that a source does fills MongoDB's disk. */
  readonly full = undefined;
  readonly #id: SourceId;
  readonly #config: MongoConfig;
  #client: MongoClient | undefined;
  #first: ClusterTime | undefined;

  constructor(id: SourceId, config: MongoConfig) {
    this.metrics = oplogMetrics(config.guard);
    this.#id = id;
    this.#config = config;
  }

  async look(through: Positions | undefined): Promise<LogRetention | undefined> {
    const client = await this.#connect();
    try {
      const [oplog, now] = await Promise.all([readOplogIfAllowed(client), readTime(client)]);
      const position = onlyPosition(through);
      if (position === undefined) return undefined;
      const at = readThrough(parsePosition(position));
      return at && this.#measure(at, oplog, oplog?.newest ?? now);
    } catch (error) {
      throw translateError(error);
    }
  }

  drop(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.close();
  }

  #measure(at: ClusterTime, oplog: OplogFacts | undefined, newest: ClusterTime | undefined): LogRetention {
    const lagSeconds = newest && Math.max(0, newest.t - at.t);
    if (oplog === undefined) return { lost: 0, lagSeconds };
    const { oldest } = oplog;
    this.#first ??= oldest;
    const isLost = isEarlier(at, oldest);
    // An oplog that is not full yet drops nothing: how far it reaches back then says nothing.
    if (!isEarlier(this.#first, oldest)) return { lost: isLost ? 1 : 0, lagSeconds };
    if (isLost) return { lost: 1 };
    const windowSeconds = Math.max(1, oplog.newest.t - oldest.t);
    return {
      lost: 0,
      timeToFullSeconds: at.t - oldest.t,
      windowUsed: Math.max(0, oplog.newest.t - at.t) / windowSeconds,
      lagSeconds,
    };
  }

  async #connect(): Promise<MongoClient> {
    this.#client ??= await connectMongo(this.#id, this.#config);
    return this.#client;
  }
}

/** Undefined where it may not be read: then only the lag is known, as `check` says. */
async function readOplogIfAllowed(client: MongoClient): Promise<OplogFacts | undefined> {
  try {
    return await readOplog(client);
  } catch (thrown) {
    const error = translateError(thrown);
    if (error instanceof ConfigError && error.code === "PERMISSION_MISSING") return undefined;
    throw error;
  }
}
