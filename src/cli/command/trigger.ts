// `millrace trigger`: sends an automation with a `manual()` trigger an event by hand.

import { randomUUID } from "node:crypto";
import type { Automation } from "../../automation/define/automation.ts";
import { isManual } from "../../automation/define/manual.ts";
import type { Trigger } from "../../automation/define/trigger.ts";
import { publishEvent } from "../../bus/jetstream/commands/publish-event.ts";
import { realClock, within } from "../../clock.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { ConfigError, toError } from "../../errors.ts";
import { manualEvent } from "../../event/system-event.ts";
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

/** A person waits for it. */
const SCHEMA_MS = 10_000;
const MOST_ISSUES = 10;

/**
 * Held against the schema of the trigger first, where that works on this machine: else the worker alone judges, and the command says so.
 * @throws ConfigError AUTOMATION_UNKNOWN, AUTOMATION_NOT_MANUAL, INPUT_UNREADABLE, TRIGGER_DATA_UNFIT; TransientError
 */
export async function triggerAutomation({ id, data, eventId, config, signal, print }: TriggerOptions): Promise<void> {
  const file = await readConfig(config, true);
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  const automation = namedAutomation(automations, id);
  const trigger = manualTrigger(automation);
  const text = data === "-" ? await readInput("-") : (data ?? "null");
  const value = parseJson(text, "--data");
  const event = manualEvent(id, eventId ?? randomUUID(), value);
  const unjudged = await refuseUnfit(trigger, automation, value, data === undefined);
  const { access, replicas } = resolveBusConfig(file);
  await publishEvent(event, { ...access.reveal(), replicas, signal });
  await print(`${event.id} waits for ${id}`);
  if (unjudged !== undefined)
    await print(`its data is not held against the schema here, which ${unjudged}: the worker does it`);
}

/** The first one, which is asked first. @throws ConfigError AUTOMATION_NOT_MANUAL */
function manualTrigger({ id, triggers }: Automation): Trigger {
  const found = triggers.find((trigger) => isManual(trigger, id));
  if (found !== undefined) return found;
  throw new ConfigError("AUTOMATION_NOT_MANUAL", `${id} has no manual() among its triggers`, {
    hint: "add manual() to its `on`",
  });
}

/** Resolves to why the schema has no answer; undefined where it takes the data. @throws ConfigError TRIGGER_DATA_UNFIT */
async function refuseUnfit(
  trigger: Trigger,
  { id, timeoutMs }: Automation,
  value: unknown,
  noneGiven: boolean,
): Promise<string | undefined> {
  let issues: readonly string[] | undefined;
  try {
    const asking = trigger.issues?.(value);
    if (asking === undefined) return undefined;
    issues = await within(realClock, Math.min(timeoutMs, SCHEMA_MS), asking);
  } catch (error) {
    return `threw ${toError(error).name}`; // it may need what only the worker has
  }
  if (issues === undefined) return "has not ended in time";
  if (issues.length === 0) return undefined;
  const more = issues.length > MOST_ISSUES ? `; and ${issues.length - MOST_ISSUES} more` : "";
  const what = noneGiven ? "null, as no --data is given," : "--data";
  throw new ConfigError(
    "TRIGGER_DATA_UNFIT",
    `${what} does not fit the schema of ${id}: ${issues.slice(0, MOST_ISSUES).join("; ")}${more}`,
    { hint: "nothing was sent; correct the data, or the schema of its manual()" },
  );
}
