// Which lane a delivery belongs to: by its subject and its `ce-subject`, so that also what cannot be decoded keeps its place.

import type { Delivery } from "../../bus/subscription.ts";
import type { LaneKey } from "./key-lanes.ts";

/**
 * The key of a change within its collection, of a domain event within its aggregate. A key that moved is two events of two
 * keys. One without a key stands by itself.
 */
export function laneKeyOf(message: Pick<Delivery, "subject" | "header" | "sequence">): LaneKey {
  const [kind = "", source = "", first = "", second = "", op] = message.subject.split(".");
  const scope = kind === "cdc" ? `${kind}.${source}.${first}.${second}` : `${kind}.${source}.${first}`;
  if (kind === "cdc" && op === "truncated") return { scope, lane: scope, barrier: true };
  const key = message.header("ce-subject");
  return { scope, lane: key === undefined ? `${scope} #${message.sequence}` : `${scope} ${key}`, barrier: false };
}

/** What a person calls a key: `<namespace>.<collection>/<key>`, as `ce-subject` has it. */
export function keyName(lane: string): string {
  return lane.slice(lane.indexOf(" ") + 1);
}
