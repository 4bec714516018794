// The stream `MILLRACE_EVENTS`: events without a source's log, from many writers, one for each id.

import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { headers, type NatsConnection, nanos } from "@nats-io/transport-node";
import { streamName, systemId } from "../../../event/source-id.ts";
import type { SystemMessage } from "../../../event/system-event.ts";
import { busError } from "./bus-errors.ts";
import { makeSharedStream } from "./shared-stream.ts";

const stream = streamName(systemId);
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** Two workers that see the same thing tell it within seconds; one that was killed between telling and noting it, later. */
const DUPLICATE_WINDOW_MS = 60 * 60_000;

export interface SystemEvents {
  /** Makes the stream when it is missing. @throws TransientError, ConfigError */
  make(): Promise<void>;
  store(message: SystemMessage): Promise<void>;
}

export function openSystemEvents(nc: NatsConnection, { replicas }: { readonly replicas: number }): SystemEvents {
  const js = jetstream(nc);
  const make = (): Promise<void> => makeStream(nc, replicas);
  const publish = async ({ subject, id, headers: fields, body }: SystemMessage): Promise<void> => {
    const lines = headers();
    for (const [name, value] of Object.entries(fields)) lines.append(name, value);
    await js.publish(subject, body, { msgID: id, headers: lines, expect: { streamName: stream } });
  };
  return {
    make,
    store: async (message) => {
      try {
        await publish(message);
      } catch (thrown) {
        if (thrown instanceof JetStreamApiError) throw busError(thrown, "store a system event");
        // Nobody answers for a stream that is not there either.
        await make();
        await publish(message).catch((again: unknown) => Promise.reject(busError(again, "store a system event")));
      }
    },
  };
}

function makeStream(nc: NatsConnection, replicas: number): Promise<void> {
  return makeSharedStream(nc, {
    name: stream,
    subjects: ["events._system.>", "events._manual.>", "events._in.>"],
    num_replicas: replicas,
    max_age: nanos(MAX_AGE_MS),
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
  });
}
