// Why an event became a dead letter; the bus is told so too, when it is never to hand the event out again.

export const deadReasons = ["exhausted", "expired", "fatal", "undecodable", "crashed", "cycle"] as const;

export type DeadReason = (typeof deadReasons)[number];
