// An event in the lane of its key: in hand, or only on record as parked.

import type { Delivery } from "../../bus/subscription.ts";
import { fnv1a } from "../../event/lane.ts";
import type { Laned } from "./key-lanes.ts";
import type { LaneDelivery } from "./lane-delivery.ts";
import { laneKeyOf } from "./lane-key.ts";
import type { ParkedEvent } from "./parked-keys.ts";

export interface LaneEvent extends Laned, ParkedEvent {
  /**
   * `waiting` for its turn; `begun`, with its handler or what follows it; `pausing` before its next attempt; `blocked` until a
   * person says what to do; `parking`, on its way to the record; `owed`: let go, it has to come once more.
   */
  state: "waiting" | "begun" | "pausing" | "blocked" | "parking" | "owed";
  /** As the bus handed it out; undefined of one that is parked, or owed. */
  inner: Delivery | undefined;
  parked: boolean;
  /** Begun before, here or elsewhere. */
  again: boolean;
  /** On record as settled: only the bus has to be told. */
  settled: boolean;
  /** A person said that it shall become a dead letter. */
  drop: boolean;
  /** Its subscription was over before it ended. */
  dropped: boolean;
  /** And then parked ones of its lane were on record. */
  chained: boolean;
  /** It has ended, and that is being told: nothing behind it may be put aside meanwhile. */
  finishing: boolean;
  /** In which it was begun last. */
  delivery: LaneDelivery | undefined;
  /** Ends its pause. */
  stop: AbortController | undefined;
}

const fresh = {
  state: "waiting",
  ...{ again: false, settled: false, drop: false, dropped: false, chained: false, finishing: false },
  ...{ delivery: undefined, stop: undefined },
} as const;

export function handedOut(delivery: Delivery): LaneEvent {
  const { sequence } = delivery;
  const idHash = idHashOf(delivery);
  return { ...laneKeyOf(delivery), ...fresh, rank: sequence, sequence, idHash, inner: delivery, parked: false };
}

export function parked(lane: string, { sequence, idHash }: ParkedEvent): LaneEvent {
  const space = lane.indexOf(" ");
  const scope = space < 0 ? lane : lane.slice(0, space);
  const place = { scope, lane, barrier: false, rank: sequence, sequence, idHash };
  return { ...place, ...fresh, again: true, inner: undefined, parked: true };
}

export function idHashOf(message: Pick<Delivery, "header">): number {
  return fnv1a(Buffer.from(message.header("ce-id") ?? ""));
}
