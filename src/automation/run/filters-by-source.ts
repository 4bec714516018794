// Which parts of which streams an automation listens to: one durable on each stream, whatever its triggers are.

import type { SourceId } from "../../event/source-id.ts";
import type { Trigger, TriggerConfig } from "../define/trigger.ts";

/** The filters of all triggers by the source whose stream they are about; sources in the order that the triggers name them. */
export function filtersBySource(
  triggers: readonly Trigger[],
  config: TriggerConfig,
): ReadonlyMap<SourceId, readonly string[]> {
  const filters = new Map<SourceId, string[]>();
  for (const { source, filter } of triggers.flatMap((trigger) => trigger.subscriptions(config))) {
    filters.set(source, [...(filters.get(source) ?? []), filter]);
  }
  return filters;
}
