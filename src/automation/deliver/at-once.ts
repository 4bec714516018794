// The short way of an event: nothing of it is on record, all that its triggers and guards ask for is at hand, and so its handler is
// started in the turn of the event loop that it came in. Where the handler ends at once, nothing waits for it: no promise, no timer.

import { PoisonError, TransientError } from "../../errors.ts";
import { retryId } from "../../event/source-id.ts";
import type { AnyEvent } from "../define/trigger.ts";
import { type AttemptResult, startAttempt } from "./attempt.ts";
import type { Job, Said, SettleContext } from "./job.ts";
import { received, took } from "./lifecycle.ts";
import { readEvent } from "./read-event.ts";
import { bornAt, cycleIn, deadBefore } from "./verdict.ts";

/** An attempt that was started. */
export interface Running {
  readonly result: AttemptResult | Promise<AttemptResult>;
  /** By the steady clock. */
  readonly startedAt: number;
  /** Ms since 1970. */
  readonly firstAt: number;
}

/** How far an event has come that goes on the long way. */
export interface Started {
  readonly found: ReturnType<typeof readEvent>;
  /** Undefined where no handler may start yet, or ever. */
  readonly running?: Running;
}

const doneAtOnce: Said = { outcome: "done", told: { attempt: 1 } };
/** None of the triggers asked for it: nothing was begun, and asked again they say the same. */
export const passedOver: Said = { outcome: "filtered", told: { attempt: 0 } };

/**
 * Takes an event as far as it goes without waiting: `ended` with what `job.said` has then; else what is known of it by then, undefined
 * where nothing was looked at. @throws TransientError, and whatever a trigger throws that is no error of the event
 */
export function beginAtOnce(job: Job, context: SettleContext): "ended" | Started | undefined {
  const { automation, solitude } = context;
  const { delivery, said, source } = job;
  if (said !== undefined || source === retryId || automation.order !== undefined) return undefined;
  if (delivery.again || job.lastTold !== undefined) return undefined;
  if (delivery.carried !== undefined || !isUnknown(delivery, context)) return undefined;
  const found = readEvent(delivery, context);
  if (found === undefined) {
    job.said = passedOver;
    return "ended";
  }
  if (found instanceof Promise || found instanceof PoisonError || found instanceof TransientError) return { found };
  const born = bornAt(automation.retry, delivery);
  const dead = born === undefined ? undefined : deadBefore(automation.retry, undefined, context.clock.wall(), born);
  if (dead !== undefined || cycleIn(delivery, automation, context.maxHops) !== undefined) return { found };
  if (!delivery.free || !solitude.enterAtOnce()) return { found };
  const startedAt = context.clock.now();
  const result = start(job, context, found, 1, startedAt);
  if (result instanceof Promise || result.type === "failed")
    return { found, running: { result, startedAt, firstAt: context.clock.wall() } };
  end(job, context, startedAt);
  job.said = result.type === "done" ? doneAtOnce : saidOf(result, 1);
  return "ended";
}

/** Of what the bus hands out for the first time: whether nothing is on record of it for sure. */
function isUnknown(delivery: Job["delivery"], context: SettleContext): boolean {
  const noted = context.onRecord(delivery);
  if (typeof noted !== "boolean") noted.catch(() => {}); // asked again on the long way
  return noted === false;
}

/** Starts the handler, which has its place among the others. @param attempt from 1 @param startedAt now */
export function start(
  job: Job,
  context: SettleContext,
  event: AnyEvent,
  attempt: number,
  startedAt: number,
): Running["result"] {
  received(context, job, attempt);
  const result = startAttempt(context, event, attempt, job.delivery, startedAt);
  if (result instanceof Promise) {
    context.entered(job, "running");
    job.runningSince = startedAt;
  }
  return result;
}

/** It has ended: its place among the others is free. */
export function end(job: Job, context: SettleContext, startedAt: number): void {
  context.solitude.leave();
  job.tookMs = context.clock.now() - startedAt;
  took(context, job, job.tookMs / 1000);
}

/** How an event has ended by an attempt that did not fail. */
export function saidOf(result: Exclude<AttemptResult, { readonly type: "failed" }>, attempt: number): Said {
  const { type: outcome, ...more } = result;
  return { outcome, told: { attempt, ...more } };
}
