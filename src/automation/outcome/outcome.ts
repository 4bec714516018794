// How a handler ends other than by returning: what it throws or returns to say so.

import { ConfigError } from "../../errors.ts";
import { type DurationInput, durationMs } from "./duration-ms.ts";

/** Longer than that is no retry, and hardly meant. */
export const maxRetryMs: number = 365 * 24 * 60 * 60_000;
/** What is away is waited for with the event in hand: it is not long before it is asked again. */
const maxAwayMs = 120_000;

// Looked up by name and not by instanceof: a user's module may load its own copy of this package.
const kind: unique symbol = Symbol.for("millrace.outcome");

export interface RetryOptions {
  /** How long to wait before the next attempt; at most a year (`365d`), and `2m` where something is unavailable. */
  readonly after: DurationInput;
  /**
   * What the handler needs is away, by its name or `true`: no attempt is spent, the event stays in hand, and the automation
   * is not ready until it gets on. `retry.maxAge` counts as ever.
   */
  readonly unavailable?: true | string;
}

/** Throw it to have the event tried again after a delay of your own; the attempt counts, unless something is away. */
export class Retry extends Error {
  readonly [kind] = "retry";
  readonly code: "RETRY" | "UNAVAILABLE";
  readonly afterMs: number;
  readonly unavailable: true | string | undefined;

  /** @throws ConfigError when the delay is no duration, or too long */
  constructor(options: RetryOptions) {
    const { unavailable } = options;
    const what = typeof unavailable === "string" ? unavailable : "what the handler needs";
    super(unavailable === undefined ? "the handler asked for a retry" : `${what} is away`);
    this.name = "Retry";
    this.code = unavailable === undefined ? "RETRY" : "UNAVAILABLE";
    this.unavailable = unavailable;
    this.afterMs = durationMs(options.after, "retry after");
    const most = unavailable === undefined ? "365d" : "2m";
    if (this.afterMs > (unavailable === undefined ? maxRetryMs : maxAwayMs)) {
      throw new ConfigError("AUTOMATION_INVALID", `this retry cannot be put off by more than ${most}`, {
        hint: `give a delay of at most ${most}`,
      });
    }
  }
}

/** Throw it when trying again is useless: the event becomes a dead letter now. */
export class Fatal extends Error {
  readonly [kind] = "fatal";
  readonly code = "FATAL";

  constructor(reason: string) {
    super(reason);
    this.name = "Fatal";
  }
}

/** What `skip(reason)` makes: returned by a handler that had nothing to do. */
export interface Skip {
  readonly [kind]: "skip";
  readonly reason: string;
}

/** Return it to say that the event needed nothing; it is acked and counted as skipped. */
export function skip(reason: string): Skip {
  return { [kind]: "skip", reason };
}

export function isSkip(value: unknown): value is Skip {
  return kindOf(value) === "skip";
}

export function isRetry(value: unknown): value is Retry {
  return kindOf(value) === "retry";
}

export function isFatal(value: unknown): value is Fatal {
  return kindOf(value) === "fatal";
}

function kindOf(value: unknown): unknown {
  return typeof value === "object" && value !== null ? (value as { [kind]?: unknown })[kind] : undefined;
}
