// What `millrace check` finds: one precondition, whether it holds, and what mends it.

import { MillraceError, toError } from "../errors.ts";

/**
 * `fail`: the worker would not start, or the application's own writes break. `warn`: it works, at a risk that is said.
 * `ok`: it holds.
 */
export interface Finding {
  readonly level: "ok" | "warn" | "fail";
  /** Stable, upper-case. */
  readonly code: string;
  /** What it is about: `server`, `slot millrace_shop`, `table public.orders`. */
  readonly subject: string;
  /** What is the case, and why that matters. */
  readonly message: string;
  /** SQL, one statement a line, where SQL mends it (what follows `--` is for the reader); else a sentence. See `sqlOf`. */
  readonly fix?: string;
}

/** Makes findings about one subject. */
export function about(
  subject: string,
): Readonly<Record<Finding["level"], (code: string, message: string, fix?: string) => Finding>> {
  const make = (level: Finding["level"]) => (code: string, message: string, fix?: string) => ({
    ...{ level, code, subject, message },
    ...(fix === undefined ? {} : { fix }),
  });
  return { ok: make("ok"), warn: make("warn"), fail: make("fail") };
}

/** Whether a line of a fix is to be copied whole: a statement, if perhaps one for another server than the source's. */
export function isStatement(line: string): boolean {
  return /;( --.*)?$/.test(line);
}

/**
 * What of a fix is SQL for the source's own database, statement by statement; none where words say what to do. A statement
 * that is right on a condition (`-- if`) gives something up, such as a slot: a person decides that, and no script that runs these.
 */
export function sqlOf(fix: string | undefined): readonly string[] {
  return (fix ?? "")
    .split("\n")
    .filter((line) => isStatement(line) && /^[A-Z]+[ ;]/.test(line) && !line.includes("; -- if "));
}

/** An error of `run` as what `check` finds. @throws whatever is not one of ours */
export function findingOf(thrown: unknown, subject: string): Finding {
  if (!(thrown instanceof MillraceError)) throw toError(thrown);
  const { code, message, hint } = thrown;
  return { level: "fail", code, subject, message, ...(hint === undefined ? {} : { fix: hint }) };
}
