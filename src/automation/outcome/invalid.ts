// What is said of options that cannot be.

import { nearest } from "../../config/nearest.ts";
import { ConfigError } from "../../errors.ts";

export function invalid(message: string, hint: string): ConfigError {
  return new ConfigError("AUTOMATION_INVALID", message, { hint });
}

/** Refuses one that there is not, with the one that was probably meant. @param where before the option's name: `greet: retry.` @throws ConfigError `AUTOMATION_INVALID` */
export function refuseUnknown(given: object, known: Readonly<Record<string, true>>, where: string): void {
  const names = Object.keys(known);
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  const meant = nearest(unknown, names);
  throw new ConfigError("AUTOMATION_INVALID", `${where}${unknown}: there is no such option`, {
    hint: meant === undefined ? `the options are ${names.join(", ")}` : `did you mean ${JSON.stringify(meant)}?`,
  });
}
