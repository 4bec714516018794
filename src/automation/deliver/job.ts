// An event in hand, and what it takes to settle it.

import type { Delivery } from "../../bus/subscription.ts";
import { OBEY_MS, type Seek } from "../../event/control.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";
import type { AutomationParts } from "./automation-parts.ts";
import type { ColumnTypes } from "./column-types.ts";
import type { Deadlines } from "./deadlines.ts";
import type { LastTold, Outcome, Told, ToldAt } from "./event-log.ts";

/** Why no attempt follows. */
export interface Block {
  readonly reason: DeadReason;
  readonly attempts: number;
  readonly error: ErrorSummary;
}

/** For how long an automation pulls from its durables without a pause or a seek; what it takes in that time is of this stint. */
export interface Stint {
  /** The durables' name. */
  readonly durable: string;
  readonly run: string | undefined;
  /** By which it began. */
  readonly seek: Seek | undefined;
  /** From its abort on nothing of it begins, and what has not begun is given back. */
  readonly signal: AbortSignal;
  /** Whether a seek has ended it: its durables are to go. */
  readonly replaced: boolean;
}

/** How it has ended: its handler has done its work, or had nothing to do, a filter left it out, or all of it was in shadow. */
export interface Said {
  readonly outcome: "done" | "skipped" | "filtered" | "shadow";
  readonly told: Told;
}

/** Whoever waits for the end of an event, as the next of its key. */
export interface Follower {
  /** Its place among the handlers is free: what is left is to tell of it. Not called where it had none. */
  freed(): void;
  /** Nothing more is done for it here, whatever became of it. */
  ended(): void;
}

/** An event in hand. */
export interface Job {
  readonly stint: Stint;
  readonly source: SourceId;
  readonly delivery: Delivery;
  /** How its handler has ended: known at once of an event that comes again behind it. */
  said: Said | undefined;
  /** `hanging`: its attempt has timed out, but the handler still runs. `away`: it waits for what is. `settling`: no handler runs. */
  state: "running" | "hanging" | "away" | "settling";
  /** What the newest try failed by, where that was no fault of the event. */
  away: Error | undefined;
  /** Since when its handler runs, by the steady clock; undefined before, after, and beyond its timeout. */
  runningSince: number | undefined;
  /** Since when it is settled, by the steady clock; undefined while it waits for its turn or its handler. */
  settlingSince: number | undefined;
  /** For how long its newest handler ran; undefined before one did. */
  tookMs: number | undefined;
  /** What the event log was told of it last, by this worker. */
  lastTold: LastTold | undefined;
  /** Its `ce-type`, once that was asked for. */
  type: string | undefined;
  readonly follower: Follower | undefined;
  /** It comes once more, and its end here is a matter of this turn: nothing that is handed out from now on is its own any more. */
  givenBack: boolean;
  /** Whether it holds one of the places of `concurrency`. */
  holdsSlot: boolean;
}

/** As it is when it is taken over. All is named, for the hot path: to spread an object costs several times as much. */
export function taken(given: Pick<Job, "stint" | "source" | "delivery" | "said" | "lastTold" | "follower">): Job {
  return {
    stint: given.stint,
    source: given.source,
    delivery: given.delivery,
    said: given.said,
    state: "settling",
    away: undefined,
    runningSince: undefined,
    settlingSince: undefined,
    tookMs: undefined,
    lastTold: given.lastTold,
    type: undefined,
    follower: given.follower,
    givenBack: false,
    holdsSlot: false,
  };
}

export interface SettleContext extends AutomationParts {
  /** Whether a handler may begin, by what is known of a pause. @param now by the steady clock */
  readonly fresh: (now: number) => boolean;
  readonly deadlines: Deadlines;
  /** What the columns of events are, for triggers and patterns that go by it. */
  readonly columnTypes: ColumnTypes;
  /** Whether something is on record of an event that the bus hands out as if for the first time. @throws MillraceError */
  readonly onRecord: (delivery: Delivery) => boolean | Promise<boolean>;
  /** Lets the next handler start. */
  readonly release: (job: Job) => void;
  /** Its handler has done its work: never again, also when the bus does not hear of it. */
  readonly handled: (job: Job, said: Said) => void;
  /** That is in the event log. */
  readonly told: (job: Job) => void;
  /** Its dead letter is stored. */
  readonly buried: (job: Job) => void;
  /** Tells of it. */
  readonly died: (job: Job, reason: DeadReason, error: ErrorSummary) => void;
  readonly entered: (job: Job, state: Job["state"]) => void;
  /** Keeps the event in hand, with its place, while something is away; resolves early at the signal. */
  readonly wait: (job: Job, away: Error, delayMs: number) => Promise<void>;
  /** Puts an outcome into the event log; resolves to the interruptions of the bus by when it is stored. Awaited before whatever ends this handing-out. @throws MillraceError */
  readonly tell: (job: Job, outcome: Outcome, told: Told) => Promise<number>;
  /** The same for an attempt that nothing was told of yet; what is told in one turn has one promise. @throws MillraceError */
  readonly record: (job: Job, outcome: Outcome, told: Told) => Promise<ToldAt>;
  /** Where it must not become a dead letter before a person has said so: whether its key stands still instead. */
  readonly block?: (job: Job, why: Block) => boolean;
  /** Repeats an operation while the bus is away. */
  readonly persist: <Result>(operation: () => Promise<Result>) => Promise<Result>;
}

/** Has it handed out once more. Nothing that waits for the bus may come between this and its end here. */
export function giveBack(job: Job, delayMs: number): void {
  job.givenBack = true;
  job.delivery.retry(delayMs);
}

/** Of one that a seek has taken the place of: a worker that has not heard of that yet is not to try it once more. */
export function abandon(job: Job): void {
  giveBack(job, 2 * OBEY_MS);
}

/** No handler runs for it any more. */
export function free(job: Job, context: SettleContext): void {
  context.entered(job, "settling");
  context.release(job);
}

/**
 * Whether it is for us to tell what became of an event. Where this process stood still for too long, the event has been
 * handed out once more: when that was to us, it is; when it was to another worker, nothing may be told of it.
 */
export async function isOurs(job: Job, context: SettleContext): Promise<boolean> {
  const { delivery } = job;
  // What the server hands out again just before we can tell that it does comes once more after that.
  if (delivery.ours || (await delivery.regained(2 * context.ackWaitMs))) return true;
  giveBack(job, 0);
  return false;
}

/** What was told of an event that has ended so. */
export function lastTold({ outcome, told }: Said, at: ToldAt): LastTold {
  return { outcome, attempt: told.attempt, at };
}
