// Of an automation with `order: "key"`, what it has in hand of each of its streams: one hand for each stint, and what is said
// of all of them together.

import type { Obstacle } from "../../bus/subscription.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Follower, Stint } from "../deliver/job.ts";
import { keysHeldUp } from "../order/held-up.ts";
import type { LaneDelivery } from "../order/lane-delivery.ts";
import { OrderedHand, type OrderedHandOptions } from "../order/ordered-hand.ts";
import type { AutomationStatus } from "./automation-status.ts";

export interface HandsOptions
  extends Pick<OrderedHandOptions, "automation" | "bus" | "clock" | "ackWaitMs" | "persist" | "failed"> {
  /** Hands an event to its handler. */
  readonly begin: (source: SourceId, stint: Stint, delivery: LaneDelivery, follower: Follower) => void;
}

export class Hands {
  readonly #options: HandsOptions;
  readonly #hands = new Map<SourceId, OrderedHand>();

  constructor(options: HandsOptions) {
    this.#options = options;
  }

  /** What is in hand of a stream; undefined where none of it was taken in order. */
  of(source: SourceId): OrderedHand | undefined {
    return this.#hands.get(source);
  }

  /** The hand of a stint: another one for each, the one before ends what it has begun. */
  during(stint: Stint, source: SourceId, tellGone: OrderedHandOptions["tellGone"]): OrderedHand {
    const known = this.#hands.get(source);
    if (known?.signal === stint.signal) return known;
    known?.retire();
    const hand = new OrderedHand({
      ...this.#options,
      source,
      durable: stint.durable,
      signal: stint.signal,
      begin: (delivery, follower) => this.#options.begin(source, stint, delivery, follower),
      tellGone,
    });
    this.#hands.set(source, hand);
    return hand;
  }

  /** Nothing more is taken. */
  retire(): void {
    for (const hand of this.#hands.values()) hand.retire();
  }

  /** Events in hand, and what is said of keys in order. @param wall ms since 1970 */
  status(wall: number): Pick<AutomationStatus, "held" | "keys"> | undefined {
    if (this.#hands.size === 0) return undefined;
    const counts = [...this.#hands.values()].map((hand) => hand.counts());
    const blocked = counts.flatMap((one) => one.blocked);
    return {
      held: counts.reduce((sum, one) => sum + one.held, 0),
      keys: {
        blocked: blocked.length,
        parked: counts.reduce((sum, one) => sum + one.parked, 0),
        oldestBlockedMs: blocked.length === 0 ? 0 : Math.max(0, wall - Math.min(...blocked)),
      },
    };
  }

  /** What keeps the automation from events that wait, the worst first. */
  obstacles(): readonly Obstacle[] {
    return keysHeldUp(this.#options.automation.id, [...this.#hands.values()]);
  }
}
