// `millrace trigger`: sends an automation with a `manual()` trigger an event by hand.

import { randomUUID } from "node:crypto";
import type { Automation } from "../../automation/define/automation.ts";
import { publishEvent } from "../../bus/jetstream/commands/publish-event.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { ConfigError } from "../../errors.ts";
import { manualEvent, manualPrefix } from "../../event/system-event.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { namedAutomation } from "../common/named-automation.ts";
import { parseJson, readInput } from "../common/stored-events.ts";

export interface TriggerOptions extends CommandOptions {
  readonly id: string;
  /** JSON; `-` for what comes in. Default: null. */
  readonly data?: string | undefined;
  /** Sent twice within an hour with the same one, it is one event. Default: another one each time. */
  readonly eventId?: string | undefined;
}

/** @throws ConfigError AUTOMATION_UNKNOWN, AUTOMATION_NOT_MANUAL, INPUT_UNREADABLE; TransientError */
export async function triggerAutomation({ id, data, eventId, config, signal, print }: TriggerOptions): Promise<void> {
  const file = await readConfig(config, true);
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  const { triggers } = namedAutomation(automations, id);
  const filters = triggers.flatMap((trigger) => trigger.subscriptions({ outboxes: [] }));
  if (!filters.some(({ filter }) => filter.startsWith(manualPrefix(id)))) {
    throw new ConfigError("AUTOMATION_NOT_MANUAL", `${id} has no manual() among its triggers`, {
      hint: "add manual() to its `on`",
    });
  }
  const text = data === "-" ? await readInput("-") : (data ?? "null");
  const event = manualEvent(id, eventId ?? randomUUID(), parseJson(text, "--data"));
  const { access, replicas } = resolveBusConfig(file);
  await publishEvent(event, { ...access.reveal(), replicas, signal });
  await print(`${event.id} waits for ${id}`);
}
