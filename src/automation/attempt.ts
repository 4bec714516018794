// One attempt: a handler that is started, with its timeout.

import { TransientError } from "../errors.ts";
import type { ChangeEvent } from "../event/change-event.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Automation, HandlerContext, HandlerLog } from "./automation.ts";
import type { Deadlines } from "./deadlines.ts";
import { Fatal, isFatal, isRetry, isSkip, Retry, type RetryOptions, skip } from "./outcome.ts";

export type AttemptResult =
  | { readonly type: "done" }
  | { readonly type: "skipped"; readonly reason: string }
  | {
      readonly type: "failed";
      readonly error: unknown;
      /** After a timeout: resolves when the handler has really ended. Never rejects. */
      readonly hanging?: Promise<void>;
    };

export interface AttemptContext {
  readonly automation: Automation;
  readonly deadlines: Deadlines;
  readonly log: Logger;
}

const done: AttemptResult = { type: "done" };
const retry = (options: RetryOptions): Retry => new Retry(options);
const fatal = (reason: string): Fatal => new Fatal(reason);

/**
 * Starts the handler; how it ended, at the timeout `failed`, though the handler may still run. Never throws or rejects.
 * @param attempt from 1
 */
export function startAttempt(
  context: AttemptContext,
  event: ChangeEvent,
  attempt: number,
): AttemptResult | Promise<AttemptResult> {
  const abort = new LazyAbort();
  let returned: unknown;
  try {
    returned = context.automation.handler(handlerContext(context, event, attempt, abort));
  } catch (error) {
    return { type: "failed", error };
  }
  return isThenable(returned) ? limited(context, abort, returned) : resultOf(returned);
}

function limited(
  { automation, deadlines }: AttemptContext,
  abort: LazyAbort,
  returned: PromiseLike<unknown>,
): Promise<AttemptResult> {
  return new Promise((resolve) => {
    const deadline = deadlines.begin(() => {
      const error = timeoutError(automation.timeoutMs);
      abort.abort(error);
      resolve({ type: "failed", error, hanging: ended });
    });
    const ended = Promise.resolve(returned).then(
      (value) => {
        deadlines.end(deadline);
        resolve(resultOf(value));
      },
      (error: unknown) => {
        deadlines.end(deadline);
        resolve({ type: "failed", error });
      },
    );
  });
}

function resultOf(returned: unknown): AttemptResult {
  if (returned === undefined) return done;
  // `return retry(…)` instead of `throw` must not ack.
  if (isRetry(returned) || isFatal(returned)) return { type: "failed", error: returned };
  return isSkip(returned) ? { type: "skipped", reason: returned.reason } : done;
}

/** What few handlers use is made when it is asked for. Own properties, so that a wrapper may spread them. */
function handlerContext(
  { automation, log }: AttemptContext,
  event: ChangeEvent,
  attempt: number,
  abort: LazyAbort,
): HandlerContext {
  return {
    event,
    attempt,
    get signal() {
      return abort.signal;
    },
    get log() {
      return handlerLog(log, { automation: automation.id, id: event.id, attempt });
    },
    skip,
    retry,
    fatal,
  };
}

/** An AbortController that costs nothing until somebody looks at its signal. */
class LazyAbort {
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function timeoutError(timeoutMs: number): TransientError {
  return new TransientError("AUTOMATION_TIMEOUT", `the handler took longer than ${timeoutMs} ms`, {
    hint: "give `signal` to what the handler waits for, or raise the automation's timeout",
  });
}

function handlerLog(log: Logger, about: Readonly<Record<string, unknown>>): HandlerLog {
  const at =
    (level: keyof HandlerLog) =>
    (text: string, fields?: Readonly<Record<string, unknown>>): void =>
      log[level]("automation_log", { ...fields, ...about }, text);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
