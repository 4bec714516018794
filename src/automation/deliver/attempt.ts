// One attempt: a handler that is started, with its timeout.

import { lineageOf } from "../../event/lineage.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { owned } from "../../telemetry/stray.ts";
import type { HandleSpan } from "../../telemetry/tracing.ts";
import type { HandlerContext, HandlerLog } from "../define/automation.ts";
import type { AnyEvent } from "../define/trigger.ts";
import { errorFields, summarizeError } from "../outcome/error-summary.ts";
import { Fatal, isFatal, isRetry, isSkip, Retry, type RetryOptions, skip } from "../outcome/outcome.ts";
import { readable, reasonText } from "../outcome/readable.ts";
import { Shadow, type WouldBe } from "../outcome/shadow.ts";
import { isUnavailable } from "../outcome/unavailable.ts";
import { inboxKey } from "../tx/inbox.ts";
import type { PgClient } from "../tx/transaction.ts";
import { controlError } from "../tx/transaction-control.ts";
import { type RunTx, Tx } from "../tx/tx.ts";
import type { AutomationParts } from "./automation-parts.ts";
import { type Deadlines, timeoutError } from "./deadlines.ts";
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

export interface AttemptContext
  extends Pick<AutomationParts, "automation" | "clock" | "log" | "logErrors" | "database" | "tracing"> {
  readonly deadlines: Deadlines;
  readonly metrics: Pick<AutomationParts["metrics"], "stray">;
}

const done: AttemptResult = { type: "done" };
/** What stands for the handler's value where the filter said no. */
const filteredOut = Symbol("filtered");
const retry = (options: RetryOptions): Retry => new Retry(options);
const fatal = (reason: string): Fatal => new Fatal(reason);

/** Of the delivery, what the handler's effects are named by. */
type Handled = Pick<StoredMessage, "header" | "subject"> & { readonly run?: string | undefined };

/**
 * Starts the filter, and where it says yes the handler; how that ended, at the timeout `failed`, though the handler may still run. Never throws or rejects.
 * @param attempt from 1
 * @param message the event as it came
 */
export function startAttempt(
  context: AttemptContext,
  event: AnyEvent,
  attempt: number,
  message: Handled,
): AttemptResult | Promise<AttemptResult> {
  return tracedAttempt(context, attempt, message, (span) => {
    const given = new Given(context, event, attempt, message, span);
    const result = begin(context, given, span);
    const shadow = Given.inShadow(given);
    if (shadow === undefined) return result;
    return isThenable(result) ? result.then((ended) => shadowed(ended, shadow)) : shadowed(result, shadow);
  });
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
): AttemptResult | Promise<AttemptResult> {
  const startedAt = context.clock.now();
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

/**
 * What a handler is given. What few of them use is made when it is asked for; its getters are shared and stand on the
 * object itself: cheap to make, and a wrapper may spread it.
 */
class Given implements HandlerContext<AnyEvent> {
  static readonly #getters: PropertyDescriptorMap & ThisType<Given> = {
    signal: {
      enumerable: true,
      get() {
        return this.#signal();
      },
    },
    log: {
      enumerable: true,
      get() {
        return this.#handlerLog();
      },
    },
    tx: {
      enumerable: true,
      get() {
        return this.#beginTx();
      },
    },
  };
  readonly event: AnyEvent;
  readonly attempt: number;
  readonly run: string | undefined;
  readonly shadow: boolean;
  declare readonly signal: AbortSignal;
  declare readonly log: HandlerLog;
  declare readonly tx: RunTx<PgClient>;
  readonly skip: typeof skip = skip;
  readonly retry: typeof retry = retry;
  readonly fatal: typeof fatal = fatal;
  readonly #context: AttemptContext;
  readonly #message: Handled;
  readonly #span: HandleSpan | undefined;
  readonly #shadow: Shadow | undefined;
  #tx: Tx | undefined;
  #controller: AbortController | undefined;
  #aborted: Error | undefined;
  #uncaught: { readonly thrown: unknown } | undefined;
  #ended = false;

  constructor(
    context: AttemptContext,
    event: AnyEvent,
    attempt: number,
    message: Handled,
    span: HandleSpan | undefined,
  ) {
    this.#span = span;
    this.#context = context;
    this.#message = message;
    this.event = event;
    this.attempt = attempt;
    this.run = message.run;
    this.shadow = context.automation.shadow;
    this.#shadow = this.shadow ? new Shadow() : undefined;
    Object.defineProperties(this, Given.#getters);
  }

  static tx(given: Given): Tx | undefined {
    return given.#tx;
  }

  /** Where effects are taken down instead of made; undefined where they are made. */
  static inShadow(given: Given): Shadow | undefined {
    return given.#shadow;
  }

  /** Whether the handler still ran, and its attempt fails by this. */
  static fail(given: Given, thrown: unknown): boolean {
    if (given.#ended) return false;
    given.#uncaught ??= { thrown };
    return true;
  }

  /** What was uncaught while the handler ran. */
  static end(given: Given): { readonly thrown: unknown } | undefined {
    given.#ended = true;
    return given.#uncaught;
  }

  /** Whether its time is over. */
  static isOver(given: Given): boolean {
    return given.#aborted !== undefined;
  }

  static abort(given: Given, reason: Error): void {
    given.#aborted = reason;
    given.#controller?.abort(reason);
  }

  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  #beginTx(): RunTx<PgClient> {
    const { automation, database } = this.#context;
    const header = (name: string): string => this.#message.header(name) ?? "";
    const lineage = lineageOf(this.#message);
    const inbox = inboxKey(this.#message, this.event.id);
    const traceparent = this.#span?.traceparent();
    const [from, subject] = [header("ce-source"), header("ce-subject")];
    const cause = { id: this.event.id, inbox, source: from, subject, lineage, traceparent };
    this.#tx ??= new Tx(automation.id, database, cause, this.#shadow);
    const tx = this.#tx;
    return (work) => tx.run(work, this.#signal());
  }

  #handlerLog(): HandlerLog {
    const { automation, log } = this.#context;
    const about = { automation: automation.id, id: this.event.id, attempt: this.attempt };
    const at =
      (level: keyof HandlerLog) =>
      (text: string, fields?: Readonly<Record<string, unknown>>): void =>
        log[level]("automation_log", { ...fields, ...about }, text);
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  const may = (typeof value === "object" && value !== null) || typeof value === "function";
  return may && "then" in value && typeof value.then === "function";
}
