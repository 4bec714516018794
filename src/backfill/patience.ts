// How a copy waits: as its rate says, or for what holds it up; and no longer than until somebody asks for something else.

import type { Clock } from "../clock.ts";
import { ConfigError, TransientError } from "../errors.ts";
import type { Reason } from "../telemetry/reason.ts";
import type { Order } from "./order.ts";
import type { Progress } from "./progress.ts";

/** How often it is looked whether somebody has asked for something else. */
export const LOOK_MS = 1000;

export interface PatienceOptions {
  readonly order: (stored: Progress | undefined) => Promise<Order | undefined>;
  readonly clock: Clock;
}

export class Patience {
  readonly #options: PatienceOptions;
  /** When the next batch may be sent, by the rate that was asked for. */
  #nextMs = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Waits as long as the rate says. As `rest`. */
  async slow(rows: number, order: Order, stored: Progress, signal: AbortSignal): Promise<boolean> {
    const now = this.#options.clock.now();
    if (order.rate === undefined) return this.rest(0, order, stored, signal);
    this.#nextMs = Math.max(now, this.#nextMs) + (rows / order.rate) * 1000;
    return this.rest(this.#nextMs - now, order, stored, signal);
  }

  /** Waits so long, or until something else is asked for: resolves to whether that is so. */
  async rest(ms: number, order: Order, stored: Progress | undefined, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const end = clock.now() + ms;
    for (;;) {
      if (signal.aborted) return true;
      const now = clock.now();
      // Once in a while, not behind each batch: the bus has better things to do.
      if (now >= this.#lookedMs + LOOK_MS) {
        this.#lookedMs = now;
        if (await this.#isChanged(order, stored)) {
          this.#nextMs = 0; // by another rate, or another copy's
          return true;
        }
      }
      const leftMs = end - clock.now();
      if (leftMs <= 0) return false;
      await clock.sleep(Math.min(LOOK_MS, leftMs), signal);
    }
  }

  async #isChanged(order: Order, stored: Progress | undefined): Promise<boolean> {
    try {
      const now = await this.#options.order(stored);
      if (now?.backfill !== order.backfill || now.state !== order.state || now.rate !== order.rate) return true;
      return now.without?.join() !== order.without?.join();
    } catch (error) {
      if (error instanceof TransientError) return false; // nobody can be asked: it goes on as it was
      if (error instanceof ConfigError) return true; // said when it is read for what comes next
      throw error;
    }
  }
}

/** Whether that was said: of what passes by itself the words may differ each time. */
export function isSaid(error: ConfigError | TransientError, said: Reason | undefined): boolean {
  return said?.code === error.code && (error instanceof TransientError || said.message === error.message);
}
