// Triggers on domain events: what the application put into its outbox.

import { ConfigError } from "../errors.ts";
import type { DomainEvent } from "../event/parse-domain-event.ts";
import { outboxId, type SourceId } from "../event/source-id.ts";
import { domainSubjectPrefix } from "../event/subject.ts";
import type { Trigger } from "./collection.ts";

/**
 * Domain events of one type, from each source that holds an outbox: `event<Order>("order.placed")`.
 * @param type `<aggregate>.<name>`, split at the first dot
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function event<Data = unknown>(type: string): Trigger<DomainEvent<Data>> {
  const dot = type.indexOf(".");
  if (dot < 1 || dot === type.length - 1) {
    throw new ConfigError("AUTOMATION_INVALID", `"${type}" does not name a domain event`, {
      hint: 'write aggregate and name, like "order.placed"',
    });
  }
  const filter = `${domainSubjectPrefix(outboxId, type.slice(0, dot), type.slice(dot + 1))}*`;
  return Object.freeze({ source: outboxId, filter });
}

/** A trigger on the outbox as one on each source that holds one; others as they are. */
export function inEach(outboxes: readonly SourceId[], trigger: Trigger): readonly Trigger[] {
  if (trigger.source !== outboxId) return [trigger];
  const [, , ...rest] = trigger.filter.split(".");
  return outboxes.map((source) => ({ source, filter: ["events", source, ...rest].join(".") }));
}
