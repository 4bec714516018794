// What only the server can tell of a stream by a consumer: where a time is, and how much there is from a number on.

import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";

/** One that could not be taken away goes by itself after this. */
const KEPT_MS = 5000;

/** What the server says of a consumer that would begin so; it is taken away again, and handed nothing out. */
export async function asConsumer(
  jsm: JetStreamManager,
  stream: string,
  start: Partial<ConsumerConfig>,
): Promise<ConsumerInfo> {
  const info = await jsm.consumers.add(stream, {
    ...start,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: nanos(KEPT_MS),
  });
  await jsm.consumers.delete(stream, info.name);
  return info;
}

/** The first sequence that was stored then or later. */
export async function firstSince(jsm: JetStreamManager, stream: string, time: Date): Promise<number> {
  const start = { deliver_policy: DeliverPolicy.StartTime, opt_start_time: time.toISOString() };
  return (await asConsumer(jsm, stream, start)).delivered.stream_seq + 1;
}
