// What asks the bus, repeated while the bus is away; and what is said of that, now and then.

import type { Clock } from "../../clock.ts";
import type { MillraceError } from "../../errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { isDenied, mayPass } from "../outcome/unavailable.ts";

const againMs = 500;
/** How often it is said that something cannot be stored. */
const sayEveryMs = 30_000;

export interface PatienceOptions {
  readonly automation: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** From its abort on nothing is repeated. */
  readonly signal: AbortSignal;
  /** The bus refuses what has to be stored, or does so no more. */
  readonly denied: (error: MillraceError | undefined) => void;
}

export class Patience {
  readonly #options: PatienceOptions;
  #saidAt: number = Number.NEGATIVE_INFINITY;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Repeats an operation on the bus while the bus is away. */
  async persist<Result>(operation: () => Promise<Result>): Promise<Result> {
    const { clock, signal } = this.#options;
    for (let denied = false; ; ) {
      try {
        const result = await operation();
        if (denied) this.#options.denied(undefined);
        return result;
      } catch (error) {
        if (!mayPass(error) || signal.aborted) throw error;
        denied = isDenied(error);
        this.#options.denied(denied ? error : undefined);
        this.say(error);
        await clock.sleep(againMs, signal);
      }
    }
  }

  /** Why an event waits. */
  say(error: Error): void {
    const { automation, clock, log } = this.#options;
    if (clock.now() - this.#saidAt < sayEveryMs) return;
    this.#saidAt = clock.now();
    const { code, hint } = error as { readonly code?: string; readonly hint?: string };
    log.warn("automation_failed", { automation, code, hint }, error.message);
  }
}
