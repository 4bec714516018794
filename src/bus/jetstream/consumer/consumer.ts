// The durable of an automation on one source's stream: made when missing, brought up to date, then pulled from.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { retryId, streamName, systemId } from "../../../event/source-id.ts";
import { CarriedDeliveries } from "../../carried-deliveries.ts";
import type { StateStore } from "../../state-store.ts";
import type { ConsumeOptions, Subscription } from "../../subscription.ts";
import { apiCodes } from "../client/api-codes.ts";
import { asked, isApiError } from "../client/bus-errors.ts";
import type { DeadLetters } from "../client/dead-letters.ts";
import type { EventLog } from "../client/event-log.ts";
import type { RetryStream } from "../client/retry-stream.ts";
import type { WorkerEvents } from "../client/worker-events.ts";
import { readMessage } from "../stream/jetstream-port.ts";
import type { Confirmations } from "./confirmations.ts";
import { identityOf } from "./delivery.ts";
import { Durable, type FoundStream } from "./durable.ts";
import { DurableWatch } from "./durable-watch.ts";
import { PullSubscription } from "./pull-subscription.ts";
import { RetentionWatch } from "./retention-watch.ts";
import { AccountedRecord } from "./watermark-record.ts";

const streamPollMs = 500;

/** What all subscriptions of a connection share. */
export interface SubscriptionParts {
  readonly nc: NatsConnection;
  readonly state: StateStore;
  readonly deadLetters: DeadLetters;
  readonly workerEvents: WorkerEvents;
  readonly eventLog: EventLog;
  readonly retries: RetryStream;
  readonly confirmations: Confirmations;
  /** As of `Bus`. */
  readonly interruptions: () => number;
}

/**
 * Waits for the source's stream, makes what is missing for dead letters and the event log, opens the durable, and begins to pull.
 * @throws TransientError, ConfigError
 */
export async function openSubscription(
  { nc, state, deadLetters, workerEvents, eventLog, retries, confirmations, interruptions }: SubscriptionParts,
  options: ConsumeOptions,
): Promise<Subscription> {
  const stream = streamName(options.source);
  const { durable: name, run, minPending, ackWaitMs, signal, ordered } = options;
  return asked(`subscribe ${name} to ${stream}`, async () => {
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    // A source's stream is made by its writer; these have none.
    if (options.source === systemId) await workerEvents.make({ subjects: options.filters });
    await retries.make();
    const found = await waitForStream(jsm, stream, options);
    await deadLetters.make();
    await eventLog.make();
    const record = new AccountedRecord(state, name, stream);
    const durable = new Durable({ jsm, stream, record, consume: options });
    await durable.open(found);
    const carries = options.source === retryId;
    // Nothing leaves that one but by an ack.
    const retention = carries
      ? new DurableWatch({ record, durable })
      : new RetentionWatch({ jsm, stream, record, durable });
    const identityAt = (seq: number): Promise<string | undefined> =>
      asked(`read message ${seq} of ${stream}`, async () => {
        const found = await readMessage(jsm, stream, { seq });
        return found && identityOf(found);
      });
    const pulling = { stream, name, durable, run, confirmations, minPending, ackWaitMs, signal, retention, identityAt };
    const parts = { ...pulling, ordered };
    const subscription = new PullSubscription(nc, parts);
    return carries ? new CarriedDeliveries(subscription, interruptions) : subscription;
  });
}

async function waitForStream(
  jsm: JetStreamManager,
  name: string,
  { signal, waiting }: Pick<ConsumeOptions, "signal" | "waiting">,
): Promise<FoundStream> {
  for (let first = true; ; first = false) {
    signal.throwIfAborted();
    try {
      const { created, state } = await jsm.streams.info(name);
      return { name, created, firstSeq: state.first_seq, lastSeq: first ? state.last_seq : 0 };
    } catch (error) {
      // Once it was seen to be missing, that must not be forgotten by an outage.
      if (first && !isApiError(error, apiCodes.streamNotFound)) throw error;
      if (first) waiting?.();
    }
    await realClock.sleep(streamPollMs, signal);
  }
}
