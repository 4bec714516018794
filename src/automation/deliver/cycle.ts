// Stops what would go round for ever: a handler whose effect comes back to it, or too long a chain of handlers.

import type { Delivery } from "../../bus/bus.ts";
import { lineageOf, visitOf } from "../../event/lineage.ts";
import type { Automation } from "../define/automation.ts";
import type { ErrorSummary } from "../outcome/error-summary.ts";

/**
 * Why an event must not be handled; undefined when it may be. Only events that a handler's `tx` caused say what caused
 * them: who writes past it is not seen here.
 * @param maxHops handlers that may stand between the first change and this event
 */
export function cycleIn(
  delivery: Delivery,
  { id, cycles }: Pick<Automation, "id" | "cycles">,
  maxHops: number,
): ErrorSummary | undefined {
  const lineage = lineageOf(delivery);
  if (lineage === undefined) return undefined;
  if (lineage.hops >= maxHops) {
    return cycle(`${lineage.hops} handlers stand between the first change and this event; the limit is ${maxHops}`);
  }
  if (cycles === "allow") return undefined;
  const visit = visitOf(id, delivery.header("ce-source") ?? "", delivery.header("ce-subject") ?? "");
  if (!lineage.trail.includes(visit)) return undefined;
  return cycle("this automation has handled the same key already, and that caused this event");
}

function cycle(message: string): ErrorSummary {
  return { name: "Cycle", message, code: "AUTOMATION_CYCLE" };
}
