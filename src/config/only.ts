// The part of what is configured that was asked for by its ids.

import { ConfigError } from "../errors.ts";

/** @param wanted undefined means all @throws ConfigError `ID_UNKNOWN` */
export function only<T>(
  all: readonly T[],
  idOf: (item: T) => string,
  wanted: readonly string[] | undefined,
  what: string,
): readonly T[] {
  const missing = wanted?.find((id) => !all.some((item) => idOf(item) === id));
  if (missing !== undefined) {
    throw new ConfigError("ID_UNKNOWN", `there is no ${what} "${missing}"`, {
      hint: `The configuration has: ${all.map(idOf).join(", ") || "none"}.`,
    });
  }
  return wanted === undefined ? all : all.filter((item) => wanted.includes(idOf(item)));
}
