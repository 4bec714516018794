// The error of a pattern that cannot be used.

import { ConfigError } from "../../errors.ts";

/** @param place names from the top of the pattern to what is wrong */
export function invalidPattern(place: readonly string[], message: string, hint: string): ConfigError {
  return new ConfigError("PATTERN_INVALID", `${place.join(".") || "the pattern"}: ${message}`, { hint });
}
