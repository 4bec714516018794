// Why a part of the worker does not run, in the words of status and readiness.

import { MillraceError } from "../errors.ts";

/** Never row data. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** An error's code and words, and no more of it; `UNEXPECTED` where it is none of ours. */
export function reasonOf(error: Error): Reason {
  return { code: error instanceof MillraceError ? error.code : "UNEXPECTED", message: error.message };
}
