// Runs one automation's handlers: so many at once, each event to its end (ack, retry, dead letter), and a graceful stop.

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus, Delivery } from "../bus/bus.ts";
import { TransientError } from "../errors.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Automation } from "./automation.ts";
import type { AutomationMetrics } from "./metrics.ts";
import { type Job, settle } from "./settle.ts";

/** What acks, retries and dead letters get at a stop, once no handler runs any more. */
const settleMs = 5_000;
const againMs = 500;
/** How often it is said that something cannot be stored. */
const sayEveryMs = 30_000;

export interface DelivererOptions {
  readonly automation: Automation;
  readonly bus: Bus;
  readonly log: Logger;
  readonly metrics: AutomationMetrics;
  /** What the server waits for a sign of life before it hands an event out again. */
  readonly ackWaitMs: number;
  /** From its abort on no handler is started. */
  readonly signal: AbortSignal;
  /** Something that no later try can mend: the automation must stop. */
  readonly failed: (error: unknown) => void;
}

export class Deliverer {
  readonly #options: DelivererOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting: Job[] = [];
  readonly #closing = new AbortController();
  readonly #alive: NodeJS.Timeout;
  #slots: number;
  #changed: () => void = () => {};
  #saidAt: number = Number.NEGATIVE_INFINITY;

  constructor(options: DelivererOptions) {
    this.#options = options;
    this.#slots = options.automation.concurrency;
    this.#alive = setInterval(() => {
      for (const { delivery } of this.#jobs.values()) delivery.working();
    }, options.ackWaitMs / 3);
  }

  /** Handlers that run now, those among them that have ignored their timeout, and events in hand altogether. */
  counts(): { readonly running: number; readonly hanging: number; readonly held: number } {
    const jobs = [...this.#jobs.values()];
    const hanging = jobs.filter((job) => job.state === "hanging").length;
    return { running: jobs.filter((job) => job.state === "running").length + hanging, hanging, held: jobs.length };
  }

  /** Takes an event over; never waits and never throws. */
  take(source: SourceId, delivery: Delivery): void {
    const key = `${source}.${delivery.sequence}`;
    if (this.#options.signal.aborted) {
      delivery.retry(0);
    } else if (this.#jobs.has(key)) {
      // An older subscription's handler still has it: never twice at once.
      delivery.retry(this.#options.ackWaitMs);
    } else {
      const job: Job = { key, source, delivery, state: "settling" };
      this.#jobs.set(key, job);
      this.#waiting.push(job);
      this.#start();
    }
  }

  /** After the signal: gives back what was not started, and waits for handlers (up to their timeout) and their acks. */
  async drain(): Promise<void> {
    for (const job of this.#waiting.splice(0)) {
      job.delivery.retry(0);
      this.#jobs.delete(job.key);
    }
    await this.#until(() => this.#none("running"));
    const late = sleep(settleMs, undefined, { signal: this.#closing.signal }).catch(() => {});
    await Promise.race([this.#until(() => this.#none("settling")), late]);
    this.#closing.abort();
    clearInterval(this.#alive);
  }

  #none(state: Job["state"]): boolean {
    return ![...this.#jobs.values()].some((job) => job.state === state);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  #start(): void {
    while (this.#slots > 0 && !this.#options.signal.aborted) {
      const job = this.#waiting.shift();
      if (!job) return;
      this.#slots--;
      void this.#work(job);
    }
  }

  async #work(job: Job): Promise<void> {
    const { automation, metrics } = this.#options;
    let free = false;
    const release = (): void => {
      if (free) return;
      free = true;
      this.#slots++;
      this.#start();
    };
    const entered = (state: Job["state"]): void => {
      job.state = state;
      metrics.running(automation.id, this.counts().running);
      this.#changed();
    };
    try {
      await settle(job, {
        ...this.#options,
        release,
        entered,
        persist: (operation) => this.#persist(operation),
      });
    } catch (error) {
      // Transient: the durable or the connection is gone, or we are closing; the event is handed out again.
      if (!(error instanceof TransientError)) this.#options.failed(error);
    } finally {
      this.#jobs.delete(job.key);
      release();
      this.#changed();
    }
  }

  #say(error: TransientError): void {
    if (performance.now() - this.#saidAt < sayEveryMs) return;
    this.#saidAt = performance.now();
    const { automation, log } = this.#options;
    log.warn("automation_failed", { automation: automation.id, code: error.code, hint: error.hint }, error.message);
  }

  /** Repeats an operation on the bus while the bus is away. */
  async #persist<Result>(operation: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await operation();
      } catch (error) {
        if (!(error instanceof TransientError) || this.#closing.signal.aborted) throw error;
        this.#say(error);
        await sleep(againMs, undefined, { signal: this.#closing.signal }).catch(() => {});
      }
    }
  }
}
