// Where in a stream a time is.

import { AckPolicy, DeliverPolicy, type JetStreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";

/** One that only tells a place, and could not be taken away, goes by itself after this. */
const PLACE_KEPT_MS = 5000;

/** The first sequence that was stored then or later: the server tells the place of a consumer that begins there. */
export async function firstSince(jsm: JetStreamManager, stream: string, time: Date): Promise<number> {
  const { name, delivered } = await jsm.consumers.add(stream, {
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: time.toISOString(),
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(PLACE_KEPT_MS),
  });
  await jsm.consumers.delete(stream, name);
  return delivered.stream_seq + 1;
}
