// The automations of a configuration, for commands that are about some of them.

import { hostname, userInfo } from "node:os";
import type { Automation } from "../../automation/define/automation.ts";
import type { TriggerConfig } from "../../automation/define/trigger.ts";
import { nearest } from "../../config/nearest.ts";

import { ConfigError } from "../../errors.ts";
import type { Asked } from "../../event/control.ts";
import type { SourceId } from "../../event/source-id.ts";

/** @throws ConfigError AUTOMATION_UNKNOWN, with the name that was probably meant */
export function namedAutomation(automations: readonly Automation[], id: string): Automation {
  const found = automations.find((one) => one.id === id);
  if (found !== undefined) return found;
  const ids = automations.map((one) => one.id);
  const meant = nearest(id, ids);
  throw new ConfigError("AUTOMATION_UNKNOWN", `the configuration has no automation ${id}`, {
    hint: `${meant === undefined ? "" : `did you mean ${meant}? `}it has ${ids.join(", ") || "none"}`,
  });
}

/** The streams that it listens to. */
export function sourcesOf({ triggers }: Automation, config: TriggerConfig): readonly SourceId[] {
  const listened = triggers.flatMap((trigger) => trigger.subscriptions(config)).map(({ source }) => source);
  return [...new Set(listened)];
}

/** Who runs the command, and when. */
export function asker(): Asked {
  return { by: `${userName()}@${hostname()}`, at: new Date().toISOString() };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "somebody"; // a container's user may have no name
  }
}
