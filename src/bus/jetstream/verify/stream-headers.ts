// Reads a stream's headers in order through a consumer that leaves nothing behind, up to where the stream ends now.

import { type Consumer, DeliverPolicy, jetstream } from "@nats-io/jetstream";
import type { Connection } from "../client/connection.ts";
import type { AuditMessage } from "./audit.ts";

/** Asked for at once; without their bodies they are small. */
const MAX_AHEAD = 5000;

/**
 * The messages from a sequence on. It ends with what is stored when it gets there, or by the signal; after a lost
 * connection it goes on where it was.
 * @throws what the NATS client throws
 */
export async function* streamHeaders(
  connection: Connection,
  options: { readonly stream: string; readonly from: number; readonly signal: AbortSignal },
): AsyncGenerator<AuditMessage> {
  const consumer = await jetstream(connection.nc).consumers.get(options.stream, {
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: options.from,
    headers_only: true,
  });
  const messages = await consumer.consume({ max_messages: MAX_AHEAD, abort_on_missing_resource: true });
  const stop = (): void => messages.stop();
  options.signal.addEventListener("abort", stop);
  if (options.signal.aborted) stop();
  try {
    if (!(await hasMore(consumer, 0))) return;
    for await (const { seq: sequence, subject, headers, info } of messages) {
      yield { sequence, subject, header: (name) => headers?.get(name) || undefined };
      if (info.pending === 0 && !(await hasMore(consumer, sequence))) return;
    }
  } finally {
    options.signal.removeEventListener("abort", stop);
    stop();
    if (connection.connected) await consumer.delete().catch(() => {}); // else the server forgets it by itself
  }
}

/** Whether something behind this sequence waits, or is on its way to us. The last numbers of a stream may be removed. */
async function hasMore(consumer: Consumer, sequence: number): Promise<boolean> {
  const { num_pending: waiting, delivered } = await consumer.info();
  return waiting > 0 || delivered.stream_seq > sequence;
}
