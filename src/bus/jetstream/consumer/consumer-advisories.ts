// What the server tells of a durable the moment it happens. It may get lost, or not be ours to hear: the looks find most of
// it too, only later.

import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { deadReasons } from "../../../event/dead-reason.ts";

/** Ours, behind a dead letter; and the server's of messages that left the stream, which the looks tell of. */
const expected: ReadonlySet<string | undefined> = new Set<string | undefined>([
  ...deadReasons,
  "Message deleted by stream limits",
  "Unacknowledged message was deleted",
]);

export interface AdvisoryListener {
  /** Somebody deleted it. */
  deleted(): void;
  /** It will not hand out this message any more, though none of us settled it. */
  gaveUp(sequence: number, why: string): void;
}

/** Until it is stopped. Where the user may not subscribe, nothing comes. */
export function listenToAdvisories(
  nc: NatsConnection,
  stream: string,
  durable: string,
  listener: AdvisoryListener,
): { stop(): void } {
  const heard = {
    DELETED: () => listener.deleted(),
    MAX_DELIVERIES: (advisory: Advisory) =>
      listener.gaveUp(advisory.stream_seq, `after ${advisory.deliveries} deliveries, as its max_deliver says`),
    MSG_TERMINATED: (advisory: Advisory) => {
      if (expected.has(advisory.reason)) return;
      listener.gaveUp(advisory.stream_seq, "for somebody else terminated it");
    },
  };
  const subscriptions = Object.entries(heard).map(([kind, hear]) =>
    nc.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.${kind}.${stream}.${durable}`, {
      callback: (error: Error | null, message: Msg) => {
        if (error === null) hear(message.json<Advisory>());
      },
    }),
  );
  const stop = (): void => {
    if (!nc.isClosed()) for (const subscription of subscriptions) subscription.unsubscribe();
  };
  return { stop };
}

interface Advisory {
  readonly stream_seq: number;
  readonly deliveries: number;
  readonly reason?: string;
}
