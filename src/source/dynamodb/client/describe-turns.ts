// When DescribeStream may be asked: ten times a second, by all sources of a worker together.

import type { Clock } from "../../../clock.ts";
import type { DynamoConfig } from "../options/config.ts";

const EVERY_MS = 125;

export class DescribeTurns {
  readonly #clock: Clock;
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it may be asked, or with the signal. */
  async next(signal: AbortSignal | undefined): Promise<void> {
    const now = this.#clock.now();
    const at = Math.max(now, this.#nextAt);
    this.#nextAt = at + EVERY_MS;
    if (at > now) await this.#clock.sleep(at - now, signal);
  }
}

/** The same turns for the same account and region, as far as a configuration tells. */
export class SharedTurns {
  readonly #clock: Clock;
  readonly #turns = new Map<string, DescribeTurns>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of({ endpoint, region, profile }: Pick<DynamoConfig, "endpoint" | "region" | "profile">): DescribeTurns {
    const name = JSON.stringify([endpoint, region, profile]);
    const turns = this.#turns.get(name) ?? new DescribeTurns(this.#clock);
    this.#turns.set(name, turns);
    return turns;
  }
}
