// One attempt: a handler that is started, with its timeout.

import { owned } from "../../telemetry/stray.ts";
import type { HandleSpan, Tracing } from "../../telemetry/tracing.ts";
import type { AnyEvent } from "../define/trigger.ts";
import { errorFields, summarizeError } from "../outcome/error-summary.ts";
import { isFatal, isRetry, isSkip } from "../outcome/outcome.ts";
import { readable, reasonText } from "../outcome/readable.ts";
import type { Shadow, WouldBe } from "../outcome/shadow.ts";
import { isUnavailable } from "../outcome/unavailable.ts";
import { controlError } from "../tx/transaction-control.ts";
import { timeoutError } from "./deadlines.ts";
import { type AttemptContext, Given, type Handled } from "./given.ts";
import { tracedAttempt } from "./traced-attempt.ts";

export type AttemptResult =
  | { readonly type: "done" }
  | { readonly type: "skipped"; readonly reason: string }
  /** The automation's filter said no: the handler was not started. */
  | { readonly type: "filtered" }
  /** In shadow: it has done nothing, and would have done this. */
  | { readonly type: "shadow"; readonly wouldBe: WouldBe; readonly reason?: string }
  | {
      readonly type: "failed";
      readonly error: unknown;
      /** After a timeout: resolves when the handler has really ended. Never rejects. */
      readonly hanging?: Promise<void>;
    };

const done: AttemptResult = { type: "done" };
/** What stands for the handler's value where the filter said no. */
const filteredOut = Symbol("filtered");

/**
 * Starts the filter, and where it says yes the handler; how that ended, at the timeout `failed`, though the handler may still run. Never throws or rejects.
 * @param attempt from 1
 * @param message the event as it came
 * @param startedAt now, by the steady clock
 */
export function startAttempt(
  context: AttemptContext,
  event: AnyEvent,
  attempt: number,
  message: Handled,
  startedAt: number = context.clock.now(),
): AttemptResult | Promise<AttemptResult> {
  // Without a closure where nobody records: one costs its memory at each event, whether it is called or not.
  const { tracing } = context;
  return tracing === undefined
    ? attemptOnce(context, event, attempt, message, startedAt)
    : traced(tracing, context, event, attempt, message, startedAt);
}

function traced(
  tracing: Tracing,
  context: AttemptContext,
  event: AnyEvent,
  attempt: number,
  message: Handled,
  startedAt: number,
): AttemptResult | Promise<AttemptResult> {
  return tracedAttempt(tracing, context, attempt, message, (span) =>
    attemptOnce(context, event, attempt, message, startedAt, span),
  );
}

function attemptOnce(
  context: AttemptContext,
  event: AnyEvent,
  attempt: number,
  message: Handled,
  startedAt: number,
  span?: HandleSpan,
): AttemptResult | Promise<AttemptResult> {
  const given = new Given(context, event, attempt, message, span);
  const result = begin(context, given, span, startedAt);
  const shadow = Given.inShadow(given);
  return shadow === undefined ? result : inShadow(result, shadow);
}

function inShadow(
  result: AttemptResult | Promise<AttemptResult>,
  shadow: Shadow,
): AttemptResult | Promise<AttemptResult> {
  return isThenable(result) ? result.then((ended) => shadowed(ended, shadow)) : shadowed(result, shadow);
}

/** What it did is what it would have done. A failed attempt is one here too: it is tried again as it would have been. */
function shadowed(result: AttemptResult, shadow: Shadow): AttemptResult {
  if (result.type === "done") return { type: "shadow", wouldBe: shadow.wouldBe("done") };
  if (result.type !== "skipped") return result;
  return { type: "shadow", wouldBe: shadow.wouldBe("skipped"), reason: result.reason };
}

function begin(
  context: AttemptContext,
  given: Given,
  span: HandleSpan | undefined,
  startedAt: number,
): AttemptResult | Promise<AttemptResult> {
  let returned: unknown;
  let result: AttemptResult | undefined;
  try {
    returned = owned(
      (thrown) => stray(context, given, thrown),
      () =>
        span === undefined ? handle(context.automation, given) : span.run(() => handle(context.automation, given)),
    );
    result = isThenable(returned) ? undefined : resultOf(returned);
  } catch (error) {
    return { type: "failed", error: readable(error) };
  }
  if (result === undefined || Given.tx(given)) return limited(context, given, returned);
  Given.end(given);
  const { timeoutMs } = context.automation;
  // Nothing can end it early, but it is judged as one that waits: behind its timeout another worker may have the event.
  if (context.clock.now() - startedAt >= timeoutMs) return { type: "failed", error: timeoutError(timeoutMs) };
  return result;
}

/** What the handler gives, or that it was not started. */
function handle({ filter, handler }: AttemptContext["automation"], given: Given): unknown {
  if (filter === undefined) return handler(given);
  const says: unknown = filter({ event: given.event });
  if (!isThenable(says)) return isWanted(says) ? handler(given) : filteredOut;
  // Not behind its timeout: by then the attempt has failed, and the event may be in another hand.
  return Promise.resolve(says).then((wanted) =>
    isWanted(wanted) && !Given.isOver(given) ? handler(given) : filteredOut,
  );
}

/** @throws TypeError for what is neither: a filter without `return` must not leave out every event in silence */
function isWanted(says: unknown): boolean {
  if (typeof says === "boolean") return says;
  throw new TypeError(`the filter gave ${says === null ? "null" : typeof says}: it must give true or false`);
}

/** What nobody caught: it fails the attempt while the handler runs, and can only be told of afterwards. */
function stray({ automation, log, logErrors, metrics }: AttemptContext, given: Given, thrown: unknown): void {
  const failed = Given.fail(given, thrown);
  metrics.stray(automation.id);
  log.error(
    "automation_uncaught",
    {
      automation: automation.id,
      id: given.event.id,
      attempt: given.attempt,
      ...errorFields(summarizeError(thrown), logErrors),
      outcome: failed ? "the attempt fails" : "the handler had ended before",
    },
    "what this handler began failed, and nobody awaits or catches it",
  );
}

function limited({ automation, deadlines }: AttemptContext, given: Given, returned: unknown): Promise<AttemptResult> {
  return new Promise((resolve) => {
    const passed = (): void => {
      const error = Given.tx(given)?.waitedFor ?? timeoutError(automation.timeoutMs);
      Given.abort(given, error);
      resolve({ type: "failed", error, hanging: ended });
    };
    const deadline = deadlines.begin(passed);
    const ended = settled(given, returned).then((result) => {
      if (deadlines.end(deadline)) passed();
      resolve(result);
    });
  });
}

/** Once the handler's transaction has ended too: one that nobody waited for, or whose error was swallowed, counts. */
async function settled(given: Given, returned: unknown): Promise<AttemptResult> {
  let result: AttemptResult;
  try {
    result = resultOf(await returned);
  } catch (error) {
    result = { type: "failed", error: readable(error) };
  }
  const tx = Given.tx(given);
  const failure = await tx?.ended;
  const uncaught = Given.end(given);
  if (uncaught !== undefined && result.type !== "failed") return { type: "failed", error: readable(uncaught.thrown) };
  if (tx === undefined) return result;
  if (failure !== undefined && outweighs(failure.error, result))
    return { type: "failed", error: readable(failure.error) };
  return tx.duplicate && result.type === "done" ? { type: "skipped", reason: "it had its effect before" } : result;
}

/** Whether what tx failed by counts, and not what the handler made of it. */
function outweighs(failure: unknown, result: AttemptResult): boolean {
  if (result.type !== "failed") return result.type === "done";
  return (
    !isRetry(result.error) && !isFatal(result.error) && (isUnavailable(failure) || controlError(failure) !== undefined)
  );
}

function resultOf(returned: unknown): AttemptResult {
  if (returned === undefined) return done;
  if (returned === filteredOut) return { type: "filtered" };
  // `return retry(…)` instead of `throw` must not ack.
  if (isRetry(returned) || isFatal(returned)) return { type: "failed", error: returned };
  return isSkip(returned) ? { type: "skipped", reason: reasonText(returned.reason) } : done;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  const may = (typeof value === "object" && value !== null) || typeof value === "function";
  return may && "then" in value && typeof value.then === "function";
}
