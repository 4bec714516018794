// The error of a pattern that cannot be used.

import { ConfigError } from "../../errors.ts";

/** @param place where in the pattern it is wrong: `$or[1].after.status[0]`; empty for the pattern itself */
export function invalidPattern(place: string, message: string, hint: string): ConfigError {
  return new ConfigError("PATTERN_INVALID", `${place || "the pattern"}: ${message}`, { hint });
}

/** The place of a member of what stands at `place`. */
export function memberOf(place: string, name: string): string {
  return place === "" ? name : `${place}.${name}`;
}
