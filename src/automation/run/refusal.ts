// Why an automation cannot be run against the databases as they are.

import { ConfigError } from "../../errors.ts";

export interface Refusal {
  /** The automation's id. */
  readonly automation: string;
  readonly error: ConfigError;
}

/** Refuses a start for the first of them, and says how many there are. @throws ConfigError */
export function refuseFirst([first, ...others]: readonly Refusal[]): void {
  if (first === undefined) return;
  if (others.length === 0) throw first.error;
  const { code, message, hint } = first.error;
  const more = `There ${others.length === 1 ? "is one more" : `are ${others.length} more`} like this: millrace check names all of them.`;
  throw new ConfigError(code, message, { hint: hint === undefined ? more : `${hint}\n${more}` });
}
