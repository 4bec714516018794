// Decides what becomes of an event: whether an attempt may begin, and what follows a failed one. Pure.

import type { Attempts } from "./attempts.ts";
import type { DeadReason } from "./metrics.ts";
import { isFatal, isRetry } from "./outcome.ts";
import { backoffMs, type RetryPolicy } from "./retry-policy.ts";

/** Times an event may be handed out without an attempt (prefetch, drain, a crash of the process) besides its attempts. */
export const spareDeliveries = 10;

/** Why no attempt may begin any more; undefined when one may. */
export function deadBefore(
  policy: RetryPolicy,
  known: Attempts | undefined,
  serverCount: number,
  now: number,
): DeadReason | undefined {
  if (known?.dead) return known.dead;
  if (known && known.attempts >= policy.attempts) return "exhausted";
  if (known && now > known.firstAt + policy.maxAgeMs) return "expired";
  return serverCount > policy.attempts + spareDeliveries ? "crashed" : undefined;
}

/** What follows an attempt that failed. */
export function afterFailure(
  policy: RetryPolicy,
  attempts: number,
  firstAt: number,
  error: unknown,
  now: number,
): { readonly dead: DeadReason } | { readonly dead?: undefined; readonly delayMs: number } {
  if (isFatal(error)) return { dead: "fatal" };
  if (attempts >= policy.attempts) return { dead: "exhausted" };
  const delayMs = isRetry(error) ? error.afterMs : backoffMs(policy, attempts);
  return now + delayMs > firstAt + policy.maxAgeMs ? { dead: "expired" } : { delayMs };
}
