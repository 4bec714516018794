// What is said of options that there are not: who writes JavaScript, or casts, has no compiler to tell.

import { ConfigError } from "../errors.ts";

/** @param known every option, by its name @throws ConfigError OUTBOX_OPTION_UNKNOWN */
export function refuseUnknownOptions(given: object, known: Readonly<Record<string, true>>): void {
  const names = Object.keys(known);
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new ConfigError("OUTBOX_OPTION_UNKNOWN", `${unknown}: this outbox has no such option`, {
    hint: `Its options are ${names.join(", ")}.`,
  });
}
