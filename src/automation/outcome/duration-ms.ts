// A duration that a user gave, as milliseconds.

import { ConfigError } from "../../errors.ts";
import { type Duration, parseDuration } from "../../event/duration.ts";

/** `"500ms"`, `"2s"`, `"5m"`, `"24h"`, or a number of milliseconds. */
export type DurationInput = Duration | number;

/**
 * Milliseconds, more than none.
 * @param what names the option in the error
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function durationMs(input: DurationInput, what: string): number {
  const ms = typeof input === "number" ? input : parseDuration(input);
  if (ms === undefined || !Number.isFinite(ms) || ms <= 0) {
    throw new ConfigError("AUTOMATION_INVALID", `${what}: ${JSON.stringify(input)} is no duration`, {
      hint: 'write a number and a unit, like "500ms", "2s", "5m" or "24h"',
    });
  }
  return ms;
}
