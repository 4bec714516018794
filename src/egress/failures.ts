// What an attempt fails by where an endpoint did not take a message. Messages name the endpoint, never its url or what was sent.

import { Fatal, Retry } from "../automation/outcome/outcome.ts";
import { MillraceError, TransientError } from "../errors.ts";

/** It answered that it does not take it. */
export class NotTaken extends TransientError {
  /** Its answer's beginning, for the records of the event. */
  readonly answer: string;

  constructor(endpoint: string, status: number, answer: string) {
    const redirect = status >= 300 && status < 400 ? ": redirects are not followed" : "";
    super("ENDPOINT_REFUSED", `the endpoint ${endpoint} answered ${status}${redirect}`, {
      hint: "see what it answered in the event's dead letter: millrace dead show",
    });
    this.answer = answer;
  }
}

/** It answered 410: never again. */
export class Gone extends Fatal {
  readonly answer: string;

  constructor(endpoint: string, answer: string) {
    super(`the endpoint ${endpoint} answered 410: it is disabled (millrace endpoints resume ${endpoint})`);
    this.answer = answer;
  }
}

/** It has said when to ask again. */
export class AskedLater extends Retry {
  readonly answer: string;

  constructor(endpoint: string, status: number, afterMs: number, answer: string) {
    super({ after: afterMs });
    this.name = "NotTaken";
    this.message = `the endpoint ${endpoint} answered ${status}, and when to ask again`;
    this.answer = answer;
  }
}

/** It did not answer at all. @param thrown what looking up, connecting or asking failed by */
export function unreachable(endpoint: string, thrown: unknown): MillraceError {
  const ours = refusal(thrown);
  if (ours !== undefined) return ours;
  const { name, code } = (thrown ?? {}) as { readonly name?: string; readonly code?: unknown };
  const late = name === "TimeoutError" || name === "AbortError";
  const why = late ? "it did not answer in time" : typeof code === "string" ? code : "the connection failed";
  return new TransientError("ENDPOINT_UNREACHABLE", `the endpoint ${endpoint} cannot be reached: ${why}`, {
    hint: "see that it runs, and that its url is right",
    cause: late ? undefined : thrown,
  });
}

/** The guard's own error, which clients wrap. */
function refusal(thrown: unknown): MillraceError | undefined {
  for (let error = thrown, depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    if (error instanceof MillraceError) return error;
    const { cause, errors } = error as { readonly cause?: unknown; readonly errors?: readonly unknown[] };
    error = cause ?? errors?.[0];
  }
  return undefined;
}
