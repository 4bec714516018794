// What is said of an automation whose keys stand still, or whose hand is full: counts only, for a key is a row's.

import type { Obstacle } from "../../bus/subscription.ts";
import type { OrderedHand } from "./ordered-hand.ts";
import { MOST_PARKED } from "./parking.ts";

/** What keeps it from events that wait, the worst first. */
export function keysHeldUp(id: string, hands: readonly Pick<OrderedHand, "counts">[]): readonly Obstacle[] {
  const counts = hands.map((hand) => hand.counts());
  const blocked = counts.reduce((sum, one) => sum + one.blocked.length, 0);
  const full = counts.find((one) => one.full);
  const keys = `see millrace automations keys ${id}`;
  if (full !== undefined) {
    const why =
      full.parked >= MOST_PARKED ? `and ${full.parked} more are put aside, the most` : "each first of its key";
    const message = `it takes nothing more: ${full.held} events are in hand that wait for their retry or for a person, ${why}; ${keys}`;
    return [{ code: "AUTOMATION_KEYS_FULL", message }];
  }
  if (blocked === 0) return [];
  const message = `${blocked} keys stand still until somebody resumes or drops them; the others go on; ${keys}`;
  return [{ code: "AUTOMATION_KEYS_BLOCKED", message }];
}
