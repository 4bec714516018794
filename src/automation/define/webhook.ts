// Triggers on what a receiver took: `webhook("payments", "invoice.paid")`.

import { ConfigError } from "../../errors.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { isSourceId, systemId } from "../../event/source-id.ts";
import { parseWebhookEvent, type WebhookEvent, webhookFilter, webhookPrefix } from "../../event/webhook-event.ts";
import { invalid } from "../outcome/invalid.ts";
import type { EventShape } from "../pattern/event-shape.ts";
import type { Trigger, TriggerCheck, TriggerSubscription, TriggerWarning } from "./trigger.ts";

/** Starts at what a receiver took. */
export interface WebhookTrigger<Event = WebhookEvent> extends Trigger<Event> {
  readonly receiver: string;
  /** Empty: all types. */
  readonly types: readonly string[];
}

/**
 * What a receiver of the configuration took, of these types or of all: `webhook<Invoice>("payments", "invoice.paid")`.
 * @param types the provider's own words, exactly
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function webhook<Body = unknown>(
  receiver: string,
  ...types: readonly string[]
): WebhookTrigger<WebhookEvent<Body>> {
  if (typeof receiver !== "string" || !isSourceId(receiver)) {
    throw invalid(`${JSON.stringify(receiver)} names no receiver`, "write its name under `webhooks`");
  }
  if (types.some((type) => typeof type !== "string" || type === "")) {
    throw invalid(`webhook("${receiver}"): a type is no text, or empty`, "leave it out for events of all types");
  }
  return Object.freeze(new ReceiverTrigger(receiver, [...new Set(types)]));
}

class ReceiverTrigger implements WebhookTrigger<never> {
  readonly receiver: string;
  readonly types: readonly string[];
  readonly #prefixes: readonly string[];

  constructor(receiver: string, types: readonly string[]) {
    this.receiver = receiver;
    this.types = types;
    this.#prefixes = this.#wanted.map((type) => webhookPrefix(receiver, type));
  }

  get shape(): EventShape {
    const [only, ...others] = this.types;
    const fixed = only !== undefined && others.length === 0 ? { fixed: { type: only } } : {};
    return { fields: ["id", "type", "time", "headers", "body", "raw", "sequence"], ...fixed };
  }

  subscriptions(): readonly TriggerSubscription[] {
    return this.#wanted.map((type) => ({ source: systemId, filter: webhookFilter(this.receiver, type) }));
  }

  decode(message: StoredMessage): WebhookEvent | undefined {
    return this.#prefixes.some((prefix) => message.subject.startsWith(prefix)) ? parseWebhookEvent(message) : undefined;
  }

  match(): boolean {
    return true;
  }

  check({ automation, receivers }: TriggerCheck): readonly TriggerWarning[] {
    if (receivers === undefined || receivers.includes(this.receiver)) return [];
    throw new ConfigError(
      "AUTOMATION_WITHOUT_RECEIVER",
      `${automation} waits for webhooks of "${this.receiver}", and there is no such receiver`,
      { hint: `Name it under \`webhooks\`, or take one that is there: ${receivers.join(", ") || "there is none"}.` },
    );
  }

  get #wanted(): readonly (string | undefined)[] {
    return this.types.length === 0 ? [undefined] : this.types;
  }
}
