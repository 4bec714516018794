// Triggers on domain events: what the application put into its outbox, or posted.

import { ConfigError } from "../../errors.ts";
import { type DomainEvent, parseDomainEvent } from "../../event/parse-domain-event.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { parsePostedEvent, postedPrefix } from "../../event/posted-event.ts";
import { scriptTypes } from "../../event/script-event.ts";
import { isSourceId, systemId } from "../../event/source-id.ts";
import { domainSubjectPrefix, escapeToken } from "../../event/subject.ts";
import { DOMAIN_FIELDS, type EventShape } from "../pattern/event-shape.ts";
import { fitEvent, refuseNoSchema, type StandardSchema } from "./data-schema.ts";
import type { AnyEvent, Trigger, TriggerCheck, TriggerConfig, TriggerSubscription, TriggerWarning } from "./trigger.ts";

/** Starts at domain events of one type, from each source that holds an outbox, and at those that are posted. */
export interface DomainTrigger<Event = DomainEvent> extends Trigger<Event> {
  /** The whole subject, all sources and lanes: `events.*.order.placed.*`. */
  readonly filter: string;
}

/**
 * Domain events of one type, from each source that holds an outbox, and those that are posted where `events.types` has the type:
 * `event<Order>("order.placed")`.
 * @param type `<aggregate>.<name>`, split at the first dot; its parts where an outbox of one's own has dots in aggregates
 * @param schema of any library that follows Standard Schema: the handler gets what it makes of the data, and an event whose data
 * does not fit is a dead letter (`undecodable`)
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function event<Data = unknown>(type: DomainType): DomainTrigger<DomainEvent<Data>>;
export function event<Output>(type: DomainType, schema: StandardSchema<Output>): DomainTrigger<DomainEvent<Output>>;
export function event(type: DomainType, schema?: StandardSchema): DomainTrigger<DomainEvent> {
  const { aggregate, name } = typeof type === "string" ? parts(type) : type;
  if (aggregate === "" || name === "") {
    throw new ConfigError("AUTOMATION_INVALID", `${JSON.stringify(type)} does not name a domain event`, {
      hint: 'write aggregate and name, like "order.placed"',
    });
  }
  if (schema !== undefined) refuseNoSchema(schema, `event(${JSON.stringify(`${aggregate}.${name}`)})`);
  return Object.freeze(new OutboxTrigger(aggregate, name, schema));
}

/** What a domain event is called. */
type DomainType = string | { readonly aggregate: string; readonly name: string };

function parts(type: string): { readonly aggregate: string; readonly name: string } {
  const dot = Math.max(0, type.indexOf("."));
  return { aggregate: type.slice(0, dot), name: type.slice(dot + 1) };
}

class OutboxTrigger implements DomainTrigger<never> {
  readonly filter: string;
  readonly #aggregate: string;
  readonly #name: string;
  /** What its subjects have between source and lane. */
  readonly #middle: string;

  readonly #posted: string;
  readonly #schema: StandardSchema | undefined;

  constructor(aggregate: string, name: string, schema: StandardSchema | undefined) {
    this.#schema = schema;
    this.#aggregate = aggregate;
    this.#name = name;
    this.#middle = `.${escapeToken(aggregate)}.${escapeToken(name)}.`;
    this.#posted = postedPrefix({ aggregate, name });
    this.filter = `events.*${this.#middle}*`;
  }

  get shape(): EventShape {
    return { fields: DOMAIN_FIELDS, fixed: { type: this.#type } };
  }

  get #type(): string {
    return `${this.#aggregate}.${this.#name}`;
  }

  /** How scripts ended is told without a word in the configuration. */
  #isPosted(posted: readonly string[]): boolean {
    return [...posted, ...scriptTypes].includes(this.#type);
  }

  subscriptions({ outboxes, posted = [] }: TriggerConfig): readonly TriggerSubscription[] {
    const emitted = outboxes.map((source) => ({
      source,
      filter: `${domainSubjectPrefix(source, this.#aggregate, this.#name)}*`,
    }));
    return this.#isPosted(posted) ? [...emitted, { source: systemId, filter: `${this.#posted}*` }] : emitted;
  }

  decode(message: StoredMessage): DomainEvent | undefined {
    const { subject } = message;
    if (subject.startsWith(this.#posted))
      return parsePostedEvent(message, { aggregate: this.#aggregate, name: this.#name });
    const source = subject.split(".", 2)[1] ?? "";
    // `events._in.order.placed.…` is no source's, though the rest of it may look the same.
    const own = isSourceId(source) && subject.startsWith(`events.${source}${this.#middle}`);
    return own ? parseDomainEvent(message) : undefined;
  }

  fit(event: AnyEvent): AnyEvent | Promise<AnyEvent> {
    return fitEvent(this.#schema, event);
  }

  match(): boolean {
    return true;
  }

  check({ automation, outboxes, posted = [] }: TriggerCheck): readonly TriggerWarning[] {
    if (outboxes.length > 0 || this.#isPosted(posted)) return [];
    throw new ConfigError(
      "AUTOMATION_WITHOUT_OUTBOX",
      `${automation} waits for domain events, and no source holds an outbox`,
      {
        hint: "set `outbox: true` on the source whose database the application emits them in; of MongoDB outbox: { collection: NAME }, of DynamoDB outbox: { table: NAME }; or name the type under events.types, if it is posted",
      },
    );
  }
}
