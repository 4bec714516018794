// What is said of a worker's automations while it waits for the bus: nothing has begun.

import type { AutomationCounts } from "../telemetry/metrics.ts";
import type { Reason } from "../telemetry/reason.ts";
import type { AutomationStatus } from "./status.ts";

const reason: Reason = { code: "BUS_DISCONNECTED", message: "it begins once the bus is there" };

/** Without its counts. */
export function waitingAutomation(
  id: string,
  timeoutMs: number,
): Omit<AutomationStatus, "reason" | keyof AutomationCounts> & { readonly error: Reason } {
  return { id, state: "starting", error: reason, hanging: 0, runningMs: 0, timeoutMs, settlingMs: 0 };
}
