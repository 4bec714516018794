// When a failed attempt is tried again, and when no more.

import { type DurationInput, durationMs } from "./duration-ms.ts";
import { invalid, refuseUnknown } from "./invalid.ts";
import { maxRetryMs } from "./outcome.ts";

export interface RetryPolicyInput {
  /** Handlers started for one event at most, the first included. Default 3. */
  readonly attempts?: number;
  /** The shortest wait before a retry. Default `2s`. */
  readonly min?: DurationInput;
  /** The longest wait before a retry, a year at most. Default `8s`. */
  readonly max?: DurationInput;
  /** No attempt begins later than this. Default `24h`. */
  readonly maxAge?: DurationInput;
  /**
   * What `maxAge` counts from: the `first-attempt`, or the `commit`, for what is worth nothing once it is late; a replay counts from its
   * first attempt always. Default `first-attempt`.
   */
  readonly maxAgeFrom?: "first-attempt" | "commit";
}

export interface RetryPolicy {
  readonly attempts: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly maxAgeMs: number;
  readonly maxAgeFrom: "first-attempt" | "commit";
}

const OPTIONS: Readonly<Record<keyof RetryPolicyInput, true>> = {
  attempts: true,
  min: true,
  max: true,
  maxAge: true,
  maxAgeFrom: true,
};

/** The policy with its defaults. @param where said before an option: `greet: ` @throws ConfigError `AUTOMATION_INVALID` */
export function retryPolicy(input: RetryPolicyInput = {}, where = ""): RetryPolicy {
  if (typeof input !== "object" || input === null)
    throw invalid(`${where}retry is no object`, "write retry: { attempts: 5 }");
  refuseUnknown(input, OPTIONS, `${where}retry.`);
  const attempts = input.attempts ?? 3;
  if (!Number.isInteger(attempts) || attempts < 1) {
    throw invalid(`${where}retry.attempts must be a whole number of at least 1`, "1 means: no retry");
  }
  const minMs = durationMs(input.min ?? "2s", `${where}retry.min`);
  const maxMs = durationMs(input.max ?? "8s", `${where}retry.max`);
  if (maxMs > maxRetryMs) throw invalid(`${where}retry.max cannot be more than a year`, 'write "365d" or less');
  if (minMs > maxMs) throw invalid(`${where}retry.min is longer than retry.max`, "raise retry.max or lower retry.min");
  const { maxAgeFrom = "first-attempt" } = input;
  if (maxAgeFrom !== "first-attempt" && maxAgeFrom !== "commit")
    throw invalid(
      `${where}retry.maxAgeFrom cannot be ${JSON.stringify(maxAgeFrom)}`,
      'write "first-attempt" or "commit"',
    );
  return { attempts, minMs, maxMs, maxAgeMs: durationMs(input.maxAge ?? "24h", `${where}retry.maxAge`), maxAgeFrom };
}
