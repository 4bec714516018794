// What is kept of an error that a handler threw: enough to find it, bounded, without its stack.

import { toError } from "../errors.ts";
import { redact } from "../telemetry/redact.ts";

const maxLength = 500;

export interface ErrorSummary {
  readonly name: string;
  /** Cut to 500 characters, without secrets. May hold what else the handler put there: it goes to the bus, never to the log. */
  readonly message: string;
  readonly code: string | undefined;
}

export function summarizeError(thrown: unknown): ErrorSummary {
  const error = toError(thrown);
  const code = (error as { code?: unknown }).code;
  return {
    name: error.name.slice(0, maxLength),
    message: redact(error.message).slice(0, maxLength),
    code: typeof code === "string" || typeof code === "number" ? String(code).slice(0, maxLength) : undefined,
  };
}
