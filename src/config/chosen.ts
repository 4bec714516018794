// Which of what is configured a worker is to run.

import { ConfigError } from "../errors.ts";

/** Those that are wanted, in the order of the configuration. @param wanted undefined means all @throws ConfigError `ID_UNKNOWN` */
export function chosen<T>(
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
