// Modules of automations, and what they begin as they are loaded: a pool that is opened, a timer that is started.

import type { Logger } from "../../telemetry/logger.ts";
import { owned } from "../../telemetry/stray.ts";
import { errorFields } from "../outcome/error-lines.ts";
import { summarizeError } from "../outcome/error-summary.ts";

/** Loads them; what they began, and nobody catches, is told. It is of no automation, and no reason to end them all. */
export function loadOwned<Loaded>(log: Logger, load: () => Loaded): Loaded {
  const text = "what a module began as it was loaded failed, and nobody awaits or catches it";
  return owned((thrown) => log.error("module_uncaught", errorFields(summarizeError(thrown), "name"), text), load);
}
