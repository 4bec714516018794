// Whether trying again is of use, where the automation has an opinion of its own: its option `retryable`.

import { MillraceError } from "../../errors.ts";
import type { Automation } from "../define/automation.ts";
import { errorFields, type LogErrors, summarizeError } from "../outcome/error-summary.ts";
import { isFatal, isRetry } from "../outcome/outcome.ts";
import type { AutomationParts } from "./automation-parts.ts";

/** Those of which it was said that they cannot answer: once is enough. */
const said = new WeakSet<Automation>();

/**
 * Whether `retryable` says false of an error. One that throws, or says neither, counts as true: what is tried once more can still
 * be a dead letter. It is not asked of what the handler has decided itself, nor where no handler was started.
 */
export function isUseless(
  { automation, log, logErrors }: Pick<AutomationParts, "automation" | "log"> & { readonly logErrors: LogErrors },
  thrown: unknown,
): boolean {
  const { retryable } = automation;
  if (retryable === undefined || isRetry(thrown) || isFatal(thrown) || isOfTheEvent(thrown)) return false;
  let failure: unknown;
  try {
    const says: unknown = retryable(thrown);
    if (typeof says === "boolean") return !says;
    failure = new TypeError(`retryable gave ${says === null ? "null" : typeof says}: it must give true or false`);
  } catch (error) {
    failure = error;
  }
  if (!said.has(automation)) {
    said.add(automation);
    const text = "its retryable cannot say whether to try again: that counts as yes; it is said once";
    log.warn(
      "automation_retryable_failed",
      { automation: automation.id, ...errorFields(summarizeError(failure), logErrors) },
      text,
    );
  }
  return false;
}

/** Its body, or what its columns are, was not there. */
function isOfTheEvent(thrown: unknown): boolean {
  return thrown instanceof MillraceError && thrown.code.startsWith("EVENT_");
}
