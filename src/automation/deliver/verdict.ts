// Decides what becomes of an event: whether an attempt may begin, and what follows a failed one. Pure.

import type { Delivery } from "../../bus/subscription.ts";
import { backoffMs } from "../../clock.ts";
import type { DeadReason } from "../../event/dead-reason.ts";
import { lineageOf, visitOf } from "../../event/lineage.ts";
import type { Automation } from "../define/automation.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";
import { isFatal, isRetry } from "../outcome/outcome.ts";
import type { RetryPolicy } from "../outcome/retry-policy.ts";
import { controlError } from "../tx/transaction-control.ts";
import type { Attempts } from "./attempts.ts";

/** Ends of the process in a handler of the event, beside others, after which its handler runs alone. */
const suspectAfter = 2;
/** Further ones, alone, after which it is the event that ends the process. */
const aloneAtMost = 3;

const awayPause = { minMs: 250, maxMs: 5000 };

export const crashed: ErrorSummary = {
  name: "Error",
  message: "its handler was started again and again, in the end alone, and each time the process ended before it did",
  code: "AUTOMATION_CRASHED",
};

export const expired: ErrorSummary = {
  name: "Error",
  message: "it was older than retry.maxAge, counted from its commit, before a handler could be started for it",
  code: "AUTOMATION_EXPIRED",
};

/** When an event was committed, where its age counts from then; a replay is of an old event on purpose. */
export function bornAt(policy: RetryPolicy, delivery: Pick<Delivery, "run" | "header">): number | undefined {
  if (policy.maxAgeFrom !== "commit" || delivery.run !== undefined) return undefined;
  const committed = Date.parse(delivery.header("ce-time") ?? "");
  return Number.isNaN(committed) ? undefined : committed;
}

/** From when on its age counts. @param firstAt of its first attempt */
export function agesFrom(policy: RetryPolicy, delivery: Parameters<typeof bornAt>[1], firstAt: number): number {
  return bornAt(policy, delivery) ?? firstAt;
}

/** Why no attempt may begin any more; undefined when one may. @param born as `bornAt` has it */
export function deadBefore(
  policy: RetryPolicy,
  known: Attempts | undefined,
  now: number,
  born?: number,
): DeadReason | undefined {
  if (known?.dead) return known.dead;
  const { attempts = 0, firstAt, unexplained = 0 } = known ?? {};
  if (attempts >= policy.attempts) return "exhausted";
  const from = born ?? (attempts > 0 ? firstAt : undefined);
  if (from !== undefined && now > from + policy.maxAgeMs) return "expired";
  return unexplained >= suspectAfter + aloneAtMost ? "crashed" : undefined;
}

/** Whether its handler may be what ended the process. */
export function isSuspect(known: Attempts | undefined): boolean {
  return (known?.unexplained ?? 0) >= suspectAfter;
}

/** What follows an attempt that failed. */
export function afterFailure(
  policy: RetryPolicy,
  attempts: number,
  firstAt: number,
  error: unknown,
  now: number,
): { readonly dead: DeadReason } | { readonly dead?: undefined; readonly delayMs: number } {
  if (isFatal(error) || controlError(error)) return { dead: "fatal" };
  if (attempts >= policy.attempts) return { dead: "exhausted" };
  const delayMs = isRetry(error) ? error.afterMs : backoffMs(policy, attempts);
  return now + delayMs > firstAt + policy.maxAgeMs ? { dead: "expired" } : { delayMs };
}

/**
 * How long to wait after a try that failed because something is away; undefined when the event grows too old.
 * @param tries how many of them there were
 */
export function awayDelayMs(
  policy: RetryPolicy,
  tries: number,
  firstAt: number,
  error: unknown,
  now: number,
): number | undefined {
  const delayMs = isRetry(error) ? error.afterMs : backoffMs(awayPause, tries);
  return now + delayMs > firstAt + policy.maxAgeMs ? undefined : delayMs;
}

/**
 * Why an event must not be handled; undefined when it may be. Only events that a handler's `tx` caused say what caused
 * them: who writes past it is not seen here.
 * @param maxHops handlers that may stand between the first change and this event
 */
export function cycleIn(
  delivery: Delivery,
  { id, cycles }: Pick<Automation, "id" | "cycles">,
  maxHops: number,
): ErrorSummary | undefined {
  const lineage = lineageOf(delivery);
  if (lineage === undefined) return undefined;
  if (lineage.hops >= maxHops) {
    return cycle(`${lineage.hops} handlers stand between the first change and this event; the limit is ${maxHops}`);
  }
  if (cycles === "allow") return undefined;
  const visit = visitOf(id, delivery.header("ce-source") ?? "", delivery.header("ce-subject") ?? "");
  if (!lineage.trail.includes(visit)) return undefined;
  return cycle("this automation has handled the same key already, and that caused this event");
}

function cycle(message: string): ErrorSummary {
  return { name: "Cycle", message, code: "AUTOMATION_CYCLE" };
}
