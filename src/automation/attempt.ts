// One attempt: a handler that is started, with its timeout.

import { TransientError } from "../errors.ts";
import type { ChangeEvent } from "../event/change-event.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Automation, HandlerLog } from "./automation.ts";
import { Fatal, isFatal, isRetry, isSkip, Retry, skip } from "./outcome.ts";

export type AttemptResult =
  | { readonly type: "done" }
  | { readonly type: "skipped"; readonly reason: string }
  | { readonly type: "failed"; readonly error: unknown; readonly timedOut: boolean };

export interface RunningAttempt {
  /** How it ended; at the timeout `failed`, though the handler may still run. Never rejects. */
  readonly result: Promise<AttemptResult>;
  /** Resolves when the handler has really ended. Never rejects. */
  readonly ended: Promise<void>;
}

/** Starts the handler. */
export function startAttempt(automation: Automation, event: ChangeEvent, attempt: number, log: Logger): RunningAttempt {
  const controller = new AbortController();
  const returned = call(automation, event, attempt, log, controller.signal);
  let timer: NodeJS.Timeout | undefined;
  const timedOut = new Promise<AttemptResult>((resolve) => {
    timer = setTimeout(() => {
      const error = new TransientError(
        "AUTOMATION_TIMEOUT",
        `the handler took longer than ${automation.timeoutMs} ms`,
        {
          hint: "give `signal` to what the handler waits for, or raise the automation's timeout",
        },
      );
      controller.abort(error);
      resolve({ type: "failed", error, timedOut: true });
    }, automation.timeoutMs);
  });
  const ended = returned.then(() => clearTimeout(timer));
  return { result: Promise.race([returned, timedOut]), ended };
}

async function call(
  automation: Automation,
  event: ChangeEvent,
  attempt: number,
  log: Logger,
  signal: AbortSignal,
): Promise<AttemptResult> {
  try {
    const returned: unknown = await automation.handler({
      event,
      attempt,
      signal,
      log: handlerLog(log, { automation: automation.id, id: event.id, attempt }),
      skip,
      retry: (options) => new Retry(options),
      fatal: (reason) => new Fatal(reason),
    });
    // `return retry(…)` instead of `throw` must not ack.
    if (isRetry(returned) || isFatal(returned)) return { type: "failed", error: returned, timedOut: false };
    return isSkip(returned) ? { type: "skipped", reason: returned.reason } : { type: "done" };
  } catch (error) {
    return { type: "failed", error, timedOut: false };
  }
}

function handlerLog(log: Logger, about: Readonly<Record<string, unknown>>): HandlerLog {
  const at =
    (level: keyof HandlerLog) =>
    (text: string, fields?: Readonly<Record<string, unknown>>): void =>
      log[level]("automation_log", { ...fields, ...about }, text);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
