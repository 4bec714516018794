// The ends of events that nothing is on record of, as most are: those whose handlers ended in one turn of the event loop are told
// together, and then acked together. What holds for each of them is what `conclude` has: it is told before it is acked, over a
// connection that has not broken in between; where that is not so, it goes on by itself, as one that may have been told before.

import { TransientError } from "../../errors.ts";
import { passedOver } from "./at-once.ts";
import { endHandled } from "./conclude.ts";
import type { ToldAt } from "./event-log.ts";
import { type Job, lastTold, type SettleContext } from "./job.ts";
import { settledTogether } from "./lifecycle.ts";

export interface EndTogetherOptions {
  readonly context: SettleContext;
  /** Their handlers have done their work: never again, also when the bus does not hear of it. Returns what says that it is told. */
  readonly handled: (jobs: readonly Job[]) => (at: ToldAt) => void;
  /** Nothing more is done for it here. @param error what went wrong, where something did */
  readonly over: (job: Job, error?: unknown) => void;
}

export class EndTogether {
  readonly #options: EndTogetherOptions;
  #ended: Job[] = [];

  constructor(options: EndTogetherOptions) {
    this.#options = options;
  }

  /** Tells how it has ended, which is in `job.said`, and acks it. */
  add(job: Job): void {
    if (this.#ended.push(job) === 1) queueMicrotask(() => this.#tell());
  }

  #tell(): void {
    const { context, handled } = this.#options;
    const ended = this.#ended;
    this.#ended = [];
    const told = handled(ended.filter(({ said }) => said !== passedOver));
    const ours = ended.filter((job) => {
      const { ours } = job.delivery;
      if (!ours) void this.#alone(job, false);
      return ours;
    });
    for (const [stored, jobs] of groupsBy(ours, tellOf(context))) void this.#ack(jobs, stored, told);
  }

  /** Before: that they are told is under way. Behind: all of it is stored, and what is acked was told over the same connection. */
  async #ack(jobs: readonly Job[], stored: Promise<ToldAt>, told: (at: ToldAt) => void): Promise<void> {
    const { context, over } = this.#options;
    try {
      const at = await stored;
      told(at);
      for (const job of jobs) job.lastTold = lastTold(job.said ?? passedOver, at);
      if (at.interruptions !== context.bus.interruptions()) {
        for (const job of jobs) void this.#alone(job, true);
        return;
      }
    } catch (error) {
      for (const job of jobs) over(job, error);
      return;
    }
    for (const [confirmed, acked] of groupsBy(jobs, ackOf)) void this.#confirm(acked, confirmed);
  }

  async #confirm(jobs: readonly Job[], confirmed: Promise<void>): Promise<void> {
    const { context, over } = this.#options;
    try {
      await confirmed;
    } catch (error) {
      const again = error instanceof TransientError && error.code === "BUS_ACK_INTERRUPTED";
      for (const job of jobs) {
        if (again) void this.#alone(job, true);
        else over(job, error);
      }
      return;
    }
    settledTogether(context, jobs);
    for (const job of jobs) over(job);
  }

  async #alone(job: Job, again: boolean): Promise<void> {
    const { context, over } = this.#options;
    try {
      if (job.said !== undefined) await endHandled(job, context, job.said, again);
      over(job);
    } catch (error) {
      over(job, error);
    }
  }
}

function tellOf({ record }: SettleContext): (job: Job) => Promise<ToldAt> {
  return (job) => {
    const { outcome, told } = job.said ?? passedOver;
    return record(job, outcome, told);
  };
}

function ackOf({ delivery }: Job): Promise<void> {
  return delivery.ack();
}

/** Those that one promise is of, which is one of all as a rule. */
function groupsBy<Result>(
  jobs: readonly Job[],
  promiseOf: (job: Job) => Promise<Result>,
): ReadonlyMap<Promise<Result>, readonly Job[]> {
  const groups = new Map<Promise<Result>, Job[]>();
  let newest: Promise<Result> | undefined;
  let group: Job[] = [];
  for (const job of jobs) {
    const promise = promiseOf(job);
    if (promise !== newest) {
      newest = promise;
      group = groups.get(promise) ?? [];
      groups.set(promise, group);
    }
    group.push(job);
  }
  return groups;
}
