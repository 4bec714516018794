// Triggers on what the worker itself tells: `system("lag")`, `system("gap")`, `system("dead")`, `system("endpoint")`.

import { ConfigError } from "../../errors.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { systemId } from "../../event/source-id.ts";
import {
  parseSystemEvent,
  type SystemData,
  type SystemEvent,
  type SystemKind,
  systemPrefix,
} from "../../event/system-event.ts";
import type { Trigger, TriggerSubscription, TriggerWarning } from "./trigger.ts";

const kinds: Readonly<Record<SystemKind, true>> = { lag: true, gap: true, dead: true, endpoint: true };

/**
 * All events of one kind: `lag` (the guard's limits: exceeded, recovered, full), `gap` (a source went on behind one), `dead` (letters
 * came, were handed out once more, or put away) or `endpoint` (one that `send()` reaches was paused, goes on, or is disabled).
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function system<Kind extends SystemKind>(kind: Kind): Trigger<SystemEvent<SystemData[Kind]>> {
  if (!Object.hasOwn(kinds, kind)) {
    throw new ConfigError("AUTOMATION_INVALID", `there are no system events "${kind}"`, {
      hint: `write one of ${Object.keys(kinds).join(", ")}`,
    });
  }
  return Object.freeze(new SystemTrigger(kind));
}

class SystemTrigger implements Trigger<never> {
  readonly #prefix: string;

  constructor(kind: SystemKind) {
    this.#prefix = systemPrefix(kind);
  }

  subscriptions(): readonly TriggerSubscription[] {
    return [{ source: systemId, filter: `${this.#prefix}>` }];
  }

  decode(message: StoredMessage): SystemEvent | undefined {
    return message.subject.startsWith(this.#prefix) ? parseSystemEvent(message) : undefined;
  }

  match(): boolean {
    return true;
  }

  check(): readonly TriggerWarning[] {
    return [];
  }
}
