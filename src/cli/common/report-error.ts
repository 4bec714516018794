// How the command ends when something is wrong: two lines on stderr, and an exit code that says whose turn it is.

import { BugError, ConfigError, HistoryLostError, MillraceError, toError } from "../../errors.ts";
import { redact } from "../../telemetry/redact.ts";

/** 2: the configuration; 4: history lost; 1: anything else. (3 is a failed `check`.) */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return 2;
  return error instanceof HistoryLostError ? 4 : 1;
}

/** `CODE: what happened` and `fix: what to do`; with the stack when that is asked for, or when it is a bug of ours. */
export function describeError(thrown: unknown, verbose: boolean): string {
  const error = toError(thrown);
  const ours = error instanceof MillraceError;
  const code = ours ? error.code : "UNEXPECTED";
  const hint = (ours && error.hint) || "This should not happen: please report it with the output of --verbose.";
  const stack = verbose || error instanceof BugError ? `\n${error.stack}` : "";
  const cause = verbose && error.cause !== undefined ? `\ncaused by: ${toError(error.cause).stack}` : "";
  return redact(`${code}: ${oneLine(error.message)}\nfix: ${oneLine(hint)}${stack}${cause}`);
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, "; ");
}
