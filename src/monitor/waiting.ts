// What is said of a worker's parts while it waits for the bus: nothing has begun.

import type { AutomationCounts } from "../telemetry/metrics.ts";
import type { AutomationStatus, Reason, SourceStatus } from "./status.ts";

const reason: Reason = { code: "BUS_DISCONNECTED", message: "it begins once the bus is there" };

export function waitingSource(id: string, kind: string): SourceStatus {
  const counts = { read: 0, published: 0, saved: 0, acknowledged: 0, poison: 0 };
  const heldForFsync = { marks: 0, oldestMs: 0 };
  return { id, kind, state: "starting", reason, heldForFsync, stalledMs: 0, unsavedMs: 0, notices: [], ...counts };
}

/** Without its counts. */
export function waitingAutomation(
  id: string,
  timeoutMs: number,
): Omit<AutomationStatus, "reason" | keyof AutomationCounts> & { readonly error: Reason } {
  return { id, state: "starting", error: reason, hanging: 0, runningMs: 0, timeoutMs, settlingMs: 0 };
}
