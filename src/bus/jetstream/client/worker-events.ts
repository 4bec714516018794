// The stream `MILLRACE_EVENTS`: events without a source's log, from many writers, one for each id.

import { JetStreamApiError, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { streamName, systemId } from "../../../event/source-id.ts";
import type { WorkerEvent } from "../../../event/worker-event.ts";
import { encodeWorkerEvent } from "../../encode-event.ts";
import { apiCodes } from "./api-codes.ts";
import { asked, busError, isForbidden, orNothing } from "./bus-errors.ts";
import { makeSharedStream, parseHead } from "./shared-stream.ts";
import { covers, refuseUnfit, unfitSettings } from "./stream-fitness.ts";

const stream = streamName(systemId);
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;
/** Two workers that see the same thing tell it within seconds; one that was killed between telling and noting it, later. */
const DUPLICATE_WINDOW_MS = 60 * 60_000;

const SUBJECTS = [
  "events._system.>",
  "events._manual.>",
  "events._in.>",
  "events._post.>",
  "events._schedule.>",
  "dedupe._in.>",
];

export interface WorkerEvents {
  /**
   * Makes the stream when it is missing. One that is there is brought up to date where it lacks something that is needed:
   * older versions of Millrace made it with fewer subjects, and without atomic batches.
   * @param needs what it must capture; and whether events are received into it, each with the records of its ids
   * @throws TransientError, ConfigError
   */
  make(needs: { readonly subjects: readonly string[]; readonly received?: boolean }): Promise<void>;
  /** See `Bus.publish`. */
  publish(event: WorkerEvent): Promise<void>;
}

export function openWorkerEvents(nc: NatsConnection, { replicas }: { readonly replicas: number }): WorkerEvents {
  const js = jetstream(nc);
  const make: WorkerEvents["make"] = ({ subjects, received = false }) =>
    asked(`open the stream ${stream}`, async () => {
      const { streams } = await jetstreamManager(nc, { checkAPI: false });
      const found = await orNothing(streams.info(stream), apiCodes.streamNotFound);
      const whole = { subjects: SUBJECTS, allow_atomic: true, allow_msg_ttl: true };
      const needs = { subjects, atomic: received, ttl: received };
      if (found === undefined) {
        const duplicate_window = nanos(DUPLICATE_WINDOW_MS);
        const kept = { max_age: nanos(MAX_AGE_MS), duplicate_window };
        return makeSharedStream(nc, { name: stream, ...whole, num_replicas: replicas, ...kept });
      }
      if (unfitSettings(found.config, needs).length > 0) {
        const widened = { ...whole, subjects: widen(found.config.subjects, SUBJECTS) };
        await streams.update(stream, widened).catch((refused: unknown) => {
          if (isForbidden(refused)) throw refused;
          refuseUnfit(found, needs); // with the command that mends it
        });
      }
      refuseUnfit(await streams.info(stream), needs);
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
        await make({ subjects: [subject] });
        await asked(`store an event in ${stream}`, send);
      }
    },
  };
}

/** All subjects of both lists, none twice: a stream may not have one that is part of another. */
function widen(present: readonly string[], wanted: readonly string[]): string[] {
  const missing = wanted.filter((subject) => !present.some((one) => covers(one, subject)));
  return [...present.filter((one) => !missing.some((subject) => covers(subject, one))), ...missing];
}
