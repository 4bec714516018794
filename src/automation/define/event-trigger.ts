// Triggers on domain events: what the application put into its outbox.

import { ConfigError } from "../../errors.ts";
import type { DomainEvent } from "../../event/parse-domain-event.ts";
import { outboxId, type SourceId } from "../../event/source-id.ts";
import { domainSubjectPrefix } from "../../event/subject.ts";
import type { Trigger } from "./collection.ts";

/**
 * Domain events of one type, from each source that holds an outbox: `event<Order>("order.placed")`.
 * @param type `<aggregate>.<name>`, split at the first dot; its parts where an outbox of one's own has dots in aggregates
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function event<Data = unknown>(
  type: string | { readonly aggregate: string; readonly name: string },
): Trigger<DomainEvent<Data>> {
  const { aggregate, name } = typeof type === "string" ? parts(type) : type;
  if (aggregate === "" || name === "") {
    throw new ConfigError("AUTOMATION_INVALID", `${JSON.stringify(type)} does not name a domain event`, {
      hint: 'write aggregate and name, like "order.placed"',
    });
  }
  return Object.freeze({ source: outboxId, filter: `${domainSubjectPrefix(outboxId, aggregate, name)}*` });
}

function parts(type: string): { readonly aggregate: string; readonly name: string } {
  const dot = Math.max(0, type.indexOf("."));
  return { aggregate: type.slice(0, dot), name: type.slice(dot + 1) };
}

/** A trigger on the outbox as one on each source that holds one; others as they are. */
export function inEach(outboxes: readonly SourceId[], trigger: Trigger): readonly Trigger[] {
  if (trigger.source !== outboxId) return [trigger];
  const [, , ...rest] = trigger.filter.split(".");
  return outboxes.map((source) => ({ source, filter: ["events", source, ...rest].join(".") }));
}
