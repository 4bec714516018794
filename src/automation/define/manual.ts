// Triggers that somebody pulls by hand: `millrace trigger <automation>`.

import type { StoredMessage } from "../../event/parse-event.ts";
import { systemId } from "../../event/source-id.ts";
import { manualPrefix, parseSystemEvent, type SystemEvent } from "../../event/system-event.ts";
import type { EventShape } from "../pattern/event-shape.ts";
import { fitEvent, issuesOf, refuseNoSchema, type StandardSchema } from "./data-schema.ts";
import type { AnyEvent, Trigger, TriggerSubscription, TriggerWarning } from "./trigger.ts";

/** What `millrace trigger` gave an automation. */
export type ManualEvent<Data = unknown> = SystemEvent<Data>;

/**
 * What `millrace trigger <automation> --data '{ … }'` sends to this automation: `manual(schema)`, where the schema is any library's that
 * follows Standard Schema. The command refuses data that does not fit; what comes all the same is a dead letter (`undecodable`). The
 * handler gets what the schema makes of it.
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function manual(): Trigger<ManualEvent>;
export function manual<Output>(schema: StandardSchema<Output>): Trigger<ManualEvent<Output>>;
export function manual(schema?: StandardSchema): Trigger<ManualEvent> {
  if (schema !== undefined) refuseNoSchema(schema, "manual");
  return Object.freeze(new ManualTrigger(schema, undefined));
}

/** Whether a trigger of this automation takes what is sent to it by hand. */
export function isManual(trigger: Trigger, automation: string): boolean {
  const prefix = manualPrefix(automation);
  return trigger.subscriptions({ outboxes: [] }).some(({ filter }) => filter.startsWith(prefix));
}

class ManualTrigger implements Trigger<never> {
  readonly #schema: StandardSchema | undefined;
  /** Undefined until it is an automation's. */
  readonly #prefix: string | undefined;

  constructor(schema: StandardSchema | undefined, automation: string | undefined) {
    this.#schema = schema;
    this.#prefix = automation === undefined ? undefined : manualPrefix(automation);
  }

  get shape(): EventShape {
    return { fields: ["id", "type", "time", "data", "sequence"] };
  }

  boundTo(automation: string): Trigger<never> {
    return Object.freeze(new ManualTrigger(this.#schema, automation));
  }

  subscriptions(): readonly TriggerSubscription[] {
    return this.#prefix === undefined ? [] : [{ source: systemId, filter: `${this.#prefix}*` }];
  }

  decode(message: StoredMessage): SystemEvent | undefined {
    const ours = this.#prefix !== undefined && message.subject.startsWith(this.#prefix);
    return ours ? parseSystemEvent(message) : undefined;
  }

  fit(event: AnyEvent): AnyEvent | Promise<AnyEvent> {
    return fitEvent(this.#schema, event);
  }

  issues(data: unknown): Promise<readonly string[]> | undefined {
    return this.#schema === undefined ? undefined : issuesOf(this.#schema, data);
  }

  match(): boolean {
    return true;
  }

  check(): readonly TriggerWarning[] {
    return [];
  }
}
