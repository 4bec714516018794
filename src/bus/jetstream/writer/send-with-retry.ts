// Sends a batch, and once more where the server was only still clearing the last one; its answer must name the numbers
// that were expected.

import type { Clock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import { apiCodes } from "../client/api-codes.ts";
import { type Encoded, type PublishAck, PublishRefused, type StreamPort } from "../stream/port.ts";

/** 10164 with one batch in flight is the server still clearing the last one. */
const MAX_RESENDS = 5;

/**
 * @param lastSeq what the batch's last message is to be stored as
 * @throws what `StreamPort.send` does; TransientError BUS_ACK_UNEXPECTED
 */
export async function sendWithRetry(
  port: StreamPort,
  clock: Clock,
  encoded: readonly Encoded[],
  lastSeq: number,
): Promise<void> {
  for (let resends = 0; ; resends++) {
    try {
      refuseUnexpected(await port.send(encoded), encoded.length, lastSeq);
      return;
    } catch (error) {
      const clearing = error instanceof PublishRefused && error.apiCode === apiCodes.wrongLastSequenceUnknown;
      if (!clearing || resends >= MAX_RESENDS) throw error;
      await clock.sleep(2 + 2 * resends);
    }
  }
}

function refuseUnexpected({ seq, count }: PublishAck, expected: number, lastSeq: number): void {
  if (seq === lastSeq && count === expected) return;
  throw new TransientError(
    "BUS_ACK_UNEXPECTED",
    `stored ${count} up to ${seq}, expected ${expected} up to ${lastSeq}`,
    { hint: "the stream must have allow_atomic on and no other writer" },
  );
}
