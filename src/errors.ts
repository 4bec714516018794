// All error classes. There are six, by what the supervisor does next; each carries a code, a way out, and never row data.

export interface ErrorDetails {
  /** What to do about it, in one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export abstract class MillraceError extends Error {
  /** Stable, upper-case, documented in docs/errors.md. */
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint;
  }
}

/** The configuration or the set-up is wrong: the process says so and exits with 2, nothing changed. */
export class ConfigError extends MillraceError {}

/** Something is away for now: back off and connect again, for ever. */
export class TransientError extends MillraceError {}

/** The source no longer holds what comes next: the gap policy decides; exit code 4 when it says stop. */
export class HistoryLostError extends MillraceError {
  /** What is there may be another's: only a person can say that the stream shall go on from it. */
  readonly foreign: boolean;

  constructor(
    code: string,
    message: string,
    { foreign = false, ...details }: ErrorDetails & { foreign?: boolean } = {},
  ) {
    super(code, message, details);
    this.foreign = foreign;
  }
}

/** Somebody else holds the right to write: step down without writing. */
export class FencedError extends MillraceError {}

/** One row can never be decoded or encoded: dead-letter it, mark its place, go on. */
export class PoisonError extends MillraceError {}

/** A broken invariant of our own: crash rather than guess. */
export class BugError extends MillraceError {}

const programmingErrors = [TypeError, RangeError, ReferenceError, SyntaxError];

/**
 * What a library throws when it, or whoever calls it, is broken: it is no outage, and trying again does not help. Undefined
 * for all else, also for network errors that come as a TypeError: those have a cause.
 */
export function bugOf(thrown: unknown): BugError | undefined {
  if (!(thrown instanceof Error) || thrown.cause !== undefined || !isProgrammingError(thrown)) return undefined;
  // The text of a SyntaxError quotes what was parsed.
  const message = thrown instanceof SyntaxError ? thrown.name : `${thrown.name}: ${thrown.message}`;
  const bug = new BugError("BUG", message, {
    hint: "Nothing to mend here: please report it with the lines below, or with the output of --verbose.",
    cause: thrown,
  });
  const frames = thrown.stack?.split("\n").filter((line) => line.startsWith("    at ")) ?? [];
  bug.stack = [`${bug.name}: ${message}`, ...frames].join("\n");
  return bug;
}

function isProgrammingError(error: Error): boolean {
  return programmingErrors.some((kind) => error instanceof kind) || ("code" in error && error.code === "ERR_ASSERTION");
}

/** `unknown` from a catch clause as an Error, its own message kept. */
export function toError(value: unknown): Error {
  if (value instanceof Error) return value;
  try {
    return new Error(String(value));
  } catch {
    return new Error("what was thrown is no error, and has no text");
  }
}
