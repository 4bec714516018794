// Reads what a stream holds now, once, for a command: by a consumer that leaves nothing behind.

import { AckPolicy, DeliverPolicy, type JetStreamManager, type JsMsg, jetstream } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { apiCodes } from "../client/api-codes.ts";
import { orNothing } from "../client/bus-errors.ts";
import type { Connection } from "../client/connection.ts";

/** One that could not be taken away goes by itself after this. */
const KEPT_MS = 30_000;

export interface ReadOptions {
  readonly subjects: readonly string[];
  readonly since?: Date | undefined;
  /** Of large bodies there is no need. */
  readonly headersOnly?: boolean;
}

/** The oldest first; nothing where there is no such stream. @throws what the client throws */
export async function* readToEnd(
  { nc }: Pick<Connection, "nc">,
  jsm: JetStreamManager,
  stream: string,
  { subjects, since, headersOnly = false }: ReadOptions,
): AsyncGenerator<JsMsg> {
  const made = await orNothing(
    jsm.consumers.add(stream, {
      ack_policy: AckPolicy.None,
      filter_subjects: [...subjects],
      headers_only: headersOnly,
      mem_storage: true,
      inactive_threshold: nanos(KEPT_MS),
      ...(since === undefined
        ? { deliver_policy: DeliverPolicy.All }
        : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: since.toISOString() }),
    }),
    apiCodes.streamNotFound,
  );
  if (made === undefined) return;
  try {
    if (made.num_pending === 0) return;
    const consumer = await jetstream(nc).consumers.get(stream, made.name);
    const messages = await consumer.consume({ max_messages: 1000 });
    try {
      for await (const message of messages) {
        yield message;
        if (message.info.pending === 0) break; // what is stored from now on is for the next look
      }
    } finally {
      await messages.close();
    }
  } finally {
    await orNothing(jsm.consumers.delete(stream, made.name), apiCodes.consumerNotFound);
  }
}
