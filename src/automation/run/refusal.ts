// Why an automation cannot be run against the databases as they are.

import type { ConfigError } from "../../errors.ts";
import type { Logger } from "../../telemetry/logger.ts";

export interface Refusal {
  /** The automation's id. */
  readonly automation: string;
  readonly error: ConfigError;
}

/** Refuses a start for the first of them; the others are logged, so that one start names all. @throws ConfigError */
export function refuseFirst([first, ...others]: readonly Refusal[], log: Logger): void {
  if (first === undefined) return;
  for (const { automation, error } of others)
    log.error("automation_refused", { automation, code: error.code, hint: error.hint }, error.message);
  throw first.error;
}
