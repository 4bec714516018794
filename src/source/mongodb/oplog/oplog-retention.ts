// How near the source is to falling off the oplog: MongoDB drops old entries whoever still needs them.

import type { MongoClient } from "mongodb";
import { onlyPosition, type Positions } from "../../../event/positions.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { duration, percent } from "../../../telemetry/quantities.ts";
import { FallingBack } from "../../falling-back.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../../retention.ts";
import { connectMongo } from "../client/connect.ts";
import { translateError } from "../client/errors.ts";
import { type ClusterTime, isEarlier, parsePosition, readThrough } from "../client/position.ts";
import { type OplogFacts, readTime } from "../facts/server-facts.ts";
import type { MongoConfig } from "../options/config.ts";
import { oplogMetrics } from "./oplog-metrics.ts";
import { DropWatch, readOplogIfAllowed } from "./read-oplog.ts";

export class OplogRetention implements RetentionProbe {
  readonly metrics: readonly RetentionMetric[];
  /** Nothing that a source does fills MongoDB's disk. */
  readonly full = undefined;
  readonly #id: SourceId;
  readonly #config: MongoConfig;
  readonly #fallingBack = new FallingBack();
  readonly #dropWatch = new DropWatch();
  #client: MongoClient | undefined;
  #summary: string | undefined;

  constructor(id: SourceId, config: MongoConfig) {
    this.metrics = oplogMetrics(config.guard);
    this.#id = id;
    this.#config = config;
  }

  /** @example the oplog reaches back 26 h; it is 12 s behind (0 %), 26 h are left */
  get summary(): string | undefined {
    return this.#summary;
  }

  async look(through: Positions | undefined): Promise<LogRetention | undefined> {
    this.#summary = undefined;
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
    const behind = lagSeconds === undefined ? "" : `; it is ${duration(lagSeconds)} behind`;
    if (oplog === undefined || lagSeconds === undefined) {
      this.#summary = `how far the oplog reaches back is not known: \`millrace check\` says why${behind}`;
      return { lost: 0, lagSeconds };
    }
    if (isEarlier(at, oplog.oldest)) {
      this.#summary = "the oplog no longer holds what comes next";
      this.#fallingBack.forget();
      return { lost: 1 };
    }
    const rate = this.#fallingBack.look(oplog.newest.t, lagSeconds);
    if (!this.#dropWatch.drops(oplog)) {
      this.#summary = `the oplog is not full yet, and drops nothing${behind}`;
      return { lost: 0, lagSeconds };
    }
    const windowSeconds = Math.max(1, oplog.newest.t - oplog.oldest.t);
    const headroomSeconds = at.t - oplog.oldest.t;
    const windowUsed = lagSeconds / windowSeconds;
    const timeToFullSeconds = rate === undefined || rate === 0 ? undefined : headroomSeconds / rate;
    const forecast = timeToFullSeconds === undefined ? "" : `; it falls back, for ${duration(timeToFullSeconds)} more`;
    this.#summary = `the oplog reaches back ${duration(windowSeconds)}${behind} (${percent(windowUsed)}), ${duration(headroomSeconds)} are left${forecast}`;
    return { lost: 0, timeToFullSeconds, windowUsed, windowSeconds, lagSeconds };
  }

  async #connect(): Promise<MongoClient> {
    this.#client ??= await connectMongo(this.#id, this.#config);
    return this.#client;
  }
}
