// Triggers on what the worker itself tells: `system("lag")`, `system("gap")`.

import { ConfigError } from "../../errors.ts";
import { systemId } from "../../event/source-id.ts";
import { type SystemData, type SystemEvent, type SystemKind, systemPrefix } from "../../event/system-event.ts";
import type { Trigger } from "./collection.ts";

const kinds: Readonly<Record<SystemKind, true>> = { lag: true, gap: true };

/**
 * All events of one kind: `lag` (the guard's limits: exceeded, recovered, full) or `gap` (a source went on behind one).
 * @throws ConfigError `AUTOMATION_INVALID`
 */
export function system<Kind extends SystemKind>(kind: Kind): Trigger<SystemEvent<SystemData[Kind]>> {
  if (!Object.hasOwn(kinds, kind)) {
    throw new ConfigError("AUTOMATION_INVALID", `there are no system events "${kind}"`, {
      hint: `write one of ${Object.keys(kinds).join(", ")}`,
    });
  }
  return Object.freeze({ source: systemId, filter: `${systemPrefix(kind)}>` });
}
