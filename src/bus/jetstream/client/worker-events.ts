// The stream `MILLRACE_EVENTS`: events without a source's log, from many writers, one for each id.

import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { streamName, systemId } from "../../../event/source-id.ts";
import type { WorkerEvent } from "../../../event/worker-event.ts";
import { encodeWorkerEvent } from "../../encode-event.ts";
import { asked, busError } from "./bus-errors.ts";
import { makeSharedStream, parseHead } from "./shared-stream.ts";

const stream = streamName(systemId);
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** Two workers that see the same thing tell it within seconds; one that was killed between telling and noting it, later. */
const DUPLICATE_WINDOW_MS = 60 * 60_000;

export interface WorkerEvents {
  /** Makes the stream when it is missing. @throws TransientError, ConfigError */
  make(): Promise<void>;
  /** See `Bus.publish`. */
  publish(event: WorkerEvent): Promise<void>;
}

export function openWorkerEvents(nc: NatsConnection, { replicas }: { readonly replicas: number }): WorkerEvents {
  const js = jetstream(nc);
  const make = (): Promise<void> =>
    makeSharedStream(nc, {
      name: stream,
      subjects: ["events._system.>", "events._manual.>", "events._in.>"],
      num_replicas: replicas,
      max_age: nanos(MAX_AGE_MS),
      duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    });
  return {
    make,
    publish: async (event) => {
      const { subject, id, head, data } = encodeWorkerEvent(event);
      const send = () =>
        js.publish(subject, data, { msgID: id, headers: parseHead(head), expect: { streamName: stream } });
      try {
        await send();
      } catch (thrown) {
        if (thrown instanceof JetStreamApiError) throw busError(thrown, `store an event in ${stream}`);
        // Nobody answers for a stream that is not there either.
        await make();
        await asked(`store an event in ${stream}`, send);
      }
    },
  };
}
