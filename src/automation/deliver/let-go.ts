// What is done with a delivery that is not begun here: it is settled already, or comes once more.

import type { Delivery } from "../../bus/subscription.ts";
import type { Follower } from "./job.ts";

/** All that is left to do. Where the bus does not hear of it, the event comes once more. */
export function ackAgain(delivery: Delivery, follower: Follower | undefined): void {
  void delivery
    .ack()
    .catch(() => {})
    .finally(() => follower?.ended());
}

export function putBack(delivery: Delivery, delayMs: number, follower: Follower | undefined): void {
  delivery.retry(delayMs);
  follower?.ended();
}
