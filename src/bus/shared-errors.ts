// What every bus says alike.

import { PoisonError, TransientError } from "../errors.ts";

export function deadLetterTooLarge(bytes: number): PoisonError {
  return new PoisonError("DEAD_LETTER_TOO_LARGE", `a dead letter of ${bytes} bytes is larger than the bus takes`, {
    hint: "raise max_payload of nats-server",
  });
}

export function busClosed(): TransientError {
  return new TransientError("BUS_CLOSED", "the connection to the bus was closed", { hint: "it is connected again" });
}
