// Keeps an event in hand, and tries again, for as long as something is away that is no fault of the event.

import { toError } from "../../errors.ts";
import { summarizeError } from "../outcome/error-summary.ts";
import { isUnavailable, lostInWork } from "../outcome/unavailable.ts";
import type { AttemptResult } from "./attempt.ts";
import type { Attempts, AttemptsRecord } from "./attempts.ts";
import { free, isOurs, type Job, type SettleContext } from "./job.ts";
import { awayDelayMs } from "./verdict.ts";

/** How often the work may lose its connection before that counts as an attempt: it may be the work's own doing. */
const spareLosses = 3;

export type Failed = Extract<AttemptResult, { type: "failed" }>;

/** Beyond `maxAge` though what it needs is still away. */
interface TooOld extends Failed {
  readonly tooOld: true;
}

/**
 * Tries again, with the event in hand, for as long as something is away: that spends no attempt. Resolves to the first other
 * result, to the last one when the event has grown too old, to undefined when it was given back at the signal.
 * @param so how the event stands before it
 */
export async function whileAway(
  job: Job,
  context: SettleContext,
  record: AttemptsRecord,
  { known, ...so }: Pick<Attempts, "id" | "attempts" | "firstAt"> & { readonly known: Attempts | undefined },
  attemptOnce: (known: Attempts | undefined) => Promise<AttemptResult | undefined>,
): Promise<AttemptResult | TooOld | undefined> {
  let losses = 0;
  let standing = known;
  for (let tries = 1; ; tries++) {
    const result = await attemptOnce(standing);
    if (result === undefined) return undefined;
    if (result.type === "failed" && lostInWork(result.error)) losses++;
    if (result.type !== "failed" || !isUnavailable(result.error) || losses > spareLosses) {
      job.away = undefined;
      return result;
    }
    const { error, hanging } = result;
    if (hanging) {
      context.entered(job, "hanging");
      await hanging;
    }
    const delayMs = awayDelayMs(context.automation.retry, tries, so.firstAt, error, context.clock.wall());
    if (delayMs === undefined) return { type: "failed", error, tooOld: true };
    // So that its age counts across a restart, and a start that was noted is no end of the process.
    const left: Attempts = { ...so, lastError: summarizeError(error) };
    if ((!record.stored || job.delivery.again) && (await isOurs(job, context)))
      await context.persist(() => record.save(left));
    standing = left;
    await context.wait(job, toError(error), delayMs);
    const ours = await isOurs(job, context);
    if (!ours || context.signal.aborted) {
      free(job, context);
      if (ours) job.delivery.retry(0);
      return undefined;
    }
  }
}
