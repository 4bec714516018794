// Sends a batch, and once more where the server was only still clearing the last one.

import { apiCodes } from "./api-codes.ts";
import { type Clock, type Encoded, type PublishAck, PublishRefused, type StreamPort } from "./port.ts";

/** 10164 with one batch in flight is the server still clearing the last one. */
const MAX_RESENDS = 5;

/** @throws what `StreamPort.send` does */
export async function sendSurely(port: StreamPort, clock: Clock, encoded: readonly Encoded[]): Promise<PublishAck> {
  for (let resends = 0; ; resends++) {
    try {
      return await port.send(encoded);
    } catch (error) {
      const clearing = error instanceof PublishRefused && error.apiCode === apiCodes.wrongLastSequenceUnknown;
      if (!clearing || resends >= MAX_RESENDS) throw error;
      await clock.sleep(2 + 2 * resends);
    }
  }
}
