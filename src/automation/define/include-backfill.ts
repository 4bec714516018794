// Whether copied rows start an automation: never by themselves, for a copy of a table hands out every row that it has.

import { invalid } from "../outcome/invalid.ts";
import type { Trigger } from "./trigger.ts";

/**
 * The triggers of an automation, those that can with copied rows where it includes them.
 * @throws ConfigError `AUTOMATION_INVALID`, also where it includes them and no trigger of it takes them
 */
export function includingBackfill(triggers: readonly Trigger[], given: unknown, id: string): readonly Trigger[] {
  if (given === undefined || given === false) return triggers;
  if (given !== true)
    throw invalid(`${id}: includeBackfill is neither true nor false`, "write includeBackfill: true, or leave it out");
  const copied = triggers.map((trigger) => trigger.withCopies?.());
  if (copied.every((one) => one === undefined)) {
    throw invalid(
      `${id}: includeBackfill is about triggers on rows that were created, and it has none`,
      "add one, such as orders.created(), or leave includeBackfill out",
    );
  }
  return triggers.map((trigger, nth) => copied[nth] ?? trigger);
}
