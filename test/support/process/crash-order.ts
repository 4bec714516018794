// What a worker that is to crash is told, and what it says: shared with its own process, which knows nothing of the tests.

import type { Config } from "../../../src/config/schema.ts";
import type { CrashPoint } from "../../../src/worker/probe.ts";

export interface CrashOrder {
  readonly config: Config;
  /** Where to die, and at which time of coming there; undefined: nowhere. */
  readonly crash: { readonly point: CrashPoint; readonly nth: number } | undefined;
}

/** What it says once it can be asked to stop. */
export const STARTED = "the worker has started";
