// What is done with a delivery that is not begun here: it is settled already, or comes once more.

import type { Delivery } from "../../bus/subscription.ts";
import { TransientError } from "../../errors.ts";
import type { Follower } from "./job.ts";

/**
 * All that is left to do. Where the bus does not hear of it, the event comes once more; over a connection that broke it is given back,
 * for else it would count as in hand here, where nobody acks it.
 */
export function ackAgain(delivery: Delivery, follower: Follower | undefined): void {
  void delivery
    .ack()
    .catch((error: unknown) => {
      if (error instanceof TransientError && error.code === "BUS_ACK_INTERRUPTED") delivery.retry(0);
    })
    .finally(() => follower?.ended());
}

export function putBack(delivery: Delivery, delayMs: number, follower: Follower | undefined): void {
  delivery.retry(delayMs);
  follower?.ended();
}
