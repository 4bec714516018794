// One attempt as a span: begun before the handler, active while it runs, ended as the attempt does.

import type { StoredMessage } from "../../event/parse-event.ts";
import type { HandledEnd, HandleSpan, Tracing } from "../../telemetry/tracing.ts";
import type { LogErrors } from "../outcome/error-summary.ts";
import { summarizeError } from "../outcome/error-summary.ts";

/** Who gives the span its name, and how much of an error may be told. */
interface Traced {
  readonly automation: { readonly id: string };
  readonly logErrors: LogErrors;
}

/** How an attempt ended, as far as its span tells. */
type Ended =
  | { readonly type: "done" | "skipped" | "filtered" | "shadow" }
  | { readonly type: "failed"; readonly error: unknown };

/** Runs an attempt as a span. */
export function tracedAttempt<Result extends Ended>(
  tracing: Tracing,
  { automation, logErrors }: Traced,
  attempt: number,
  message: Pick<StoredMessage, "header" | "subject">,
  begin: (span: HandleSpan) => Result | Promise<Result>,
): Result | Promise<Result> {
  const header = (name: string): string | undefined => message.header(name);
  const span = tracing.handle({ automation: automation.id, attempt, subject: message.subject, header });
  const ended = (result: Result): Result => {
    span.end(endOf(result, logErrors));
    return result;
  };
  const result = begin(span);
  return result instanceof Promise ? result.then(ended) : ended(result);
}

function endOf(result: Ended, logErrors: LogErrors): HandledEnd {
  if (result.type !== "failed") return { outcome: result.type };
  const { name, code, message } = summarizeError(result.error);
  return { outcome: "failed", error: { type: code ?? name, message: logErrors === "name" ? undefined : message } };
}
