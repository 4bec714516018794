// How near the source is to what its streams no longer hold: DynamoDB drops changes after a day, whoever still needs them.

import type { Clock } from "../../../clock.ts";
import { type Positions, placesOf } from "../../../event/positions.ts";
import { duration } from "../../../telemetry/quantities.ts";
import type { LogRetention, RetentionMetric, RetentionProbe } from "../../retention.ts";
import type { DynamoApi } from "../client/api.ts";
import { translateError } from "../client/errors.ts";
import { readNames } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";

const LAG_LIMIT_SECONDS = 300;

export const retentionMetrics: readonly RetentionMetric[] = [
  {
    name: "lagSeconds",
    unit: "seconds",
    help: "How long what was acknowledged last has not moved.",
    limit: LAG_LIMIT_SECONDS,
    means: "lag",
    hint: "A stream keeps changes for 24 hours.",
    alarm: (value, limit) => `nothing was acknowledged for ${duration(value)}, more than ${duration(limit)}`,
  },
];

export interface StreamRetentionOptions {
  readonly config: DynamoConfig;
  readonly connect: (config: DynamoConfig) => Promise<DynamoApi>;
  readonly clock: Clock;
}

export class StreamRetention implements RetentionProbe {
  readonly metrics = retentionMetrics;
  /** Nothing that a source does fills DynamoDB. */
  readonly full = undefined;
  readonly #options: StreamRetentionOptions;
  #api: DynamoApi | undefined;

  constructor(options: StreamRetentionOptions) {
    this.#options = options;
  }

  async look(through: Positions | undefined): Promise<LogRetention | undefined> {
    const { connect, config } = this.#options;
    try {
      this.#api ??= await connect(config);
      const [first] = await readNames(this.#api, config);
      if (first !== undefined) await this.#api.describeTable(first);
    } catch (error) {
      throw translateError(error);
    }
    return through === undefined || placesOf(through).length === 0 ? undefined : {};
  }

  drop(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#api?.close();
  }
}
