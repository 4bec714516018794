// The durable of an automation on one source's stream: made when missing, brought up to date, then pulled from.

import { setTimeout as sleep } from "node:timers/promises";
import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  type JetStreamManager,
  jetstreamManager,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { ConfigError, TransientError } from "../../errors.ts";
import { streamName, systemId } from "../../event/source-id.ts";
import type { ConsumeOptions, StateStore, Subscription } from "../bus.ts";
import { apiCodes } from "./api-codes.ts";
import { busError, isApiError } from "./bus-errors.ts";
import type { Confirmations } from "./confirmations.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { maxPrefetch } from "./prefetch.ts";
import { maxFinishing, type PullOptions, PullSubscription } from "./pull-subscription.ts";
import { RetentionWatch } from "./retention-watch.ts";
import type { SystemEvents } from "./system-events.ts";

const streamPollMs = 500;
/** Messages that may wait for a retry besides those in hand: failing ones must not stop the others. */
const maxRetrying = 1000;

/** What all subscriptions of a connection share. */
export interface SubscriptionParts {
  readonly nc: NatsConnection;
  readonly state: StateStore;
  readonly deadLetters: DeadLetters;
  readonly systemEvents: SystemEvents;
  readonly confirmations: Confirmations;
}

/**
 * Waits for the source's stream, makes what is missing for dead letters, makes or updates the durable, and begins to pull.
 * @throws TransientError, ConfigError
 */
export async function openSubscription(
  { nc, state, deadLetters, systemEvents, confirmations }: SubscriptionParts,
  options: ConsumeOptions,
): Promise<Subscription> {
  const stream = streamName(options.source);
  try {
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    // A source's stream is made by its writer; this one has none.
    if (options.source === systemId) await systemEvents.make();
    const found = await waitForStream(jsm, stream, options.signal);
    await deadLetters.make();
    const retention = new RetentionWatch({ jsm, state, stream, durable: options.durable });
    const info = (await find(jsm, stream, options.durable)) ?? (await create(jsm, found, options, retention));
    const current = await update(jsm, stream, info, options);
    return new PullSubscription(nc, current, {
      stream,
      durable: options.durable,
      confirmations,
      minPending: options.minPending,
      ackWaitMs: options.ackWaitMs,
      signal: options.signal,
      retention,
      verify: () => verify(jsm, stream, options.durable),
      depth: () => depth(jsm, stream, options.durable),
    });
  } catch (error) {
    throw busError(error, `subscribe ${options.durable} to ${stream}`);
  }
}

interface FoundStream {
  readonly name: string;
  readonly created: string;
  readonly firstSeq: number;
  /** The newest sequence; 0 when the stream did not exist yet at the first look, for then all of it is new. */
  readonly lastSeq: number;
}

async function waitForStream(jsm: JetStreamManager, name: string, signal: AbortSignal): Promise<FoundStream> {
  for (let first = true; ; first = false) {
    signal.throwIfAborted();
    try {
      const { created, state } = await jsm.streams.info(name);
      return { name, created, firstSeq: state.first_seq, lastSeq: first ? state.last_seq : 0 };
    } catch (error) {
      // Once it was seen to be missing, that must not be forgotten by an outage.
      if (first && !isApiError(error, apiCodes.streamNotFound)) throw error;
    }
    await sleep(streamPollMs, undefined, { signal });
  }
}

async function find(jsm: JetStreamManager, stream: string, durable: string): Promise<ConsumerInfo | undefined> {
  try {
    return await jsm.consumers.info(stream, durable);
  } catch (error) {
    if (isApiError(error, apiCodes.consumerNotFound)) return undefined;
    throw error;
  }
}

/** So that `check` can tell it from a subscriber of somebody else. */
export const MADE_FOR_AUTOMATION: Readonly<Record<string, string>> = { millrace: "automation" };

async function create(
  jsm: JetStreamManager,
  { name, created, firstSeq, lastSeq }: FoundStream,
  options: ConsumeOptions,
  retention: RetentionWatch,
): Promise<ConsumerInfo> {
  const start = options.start === "now" ? lastSeq + 1 : options.start === "earliest" ? 1 : options.start;
  // A number is where a lost durable stood: what left the stream since then is missed.
  const stood = typeof options.start === "number" ? start : Math.max(start, firstSeq);
  await retention.begin({ created, through: stood - 1 }, firstSeq);
  return jsm.consumers.add(name, {
    durable_name: options.durable,
    metadata: MADE_FOR_AUTOMATION,
    ack_policy: AckPolicy.Explicit,
    // By sequence, so that it can be moved later. The server clamps it to what the stream still holds.
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: start,
    ...wanted(options),
  });
}

/** Filters and limits follow the definition; the durable keeps its place. */
async function update(
  jsm: JetStreamManager,
  stream: string,
  info: ConsumerInfo,
  options: ConsumeOptions,
): Promise<ConsumerInfo> {
  const { config } = info;
  if (config.deliver_subject !== undefined || config.ack_policy !== AckPolicy.Explicit) {
    throw new ConfigError(
      "BUS_DURABLE_FOREIGN",
      `the durable ${options.durable} of ${stream} is not one of Millrace's`,
      {
        hint: "give the automation another id, or delete that durable",
      },
    );
  }
  const want = wanted(options);
  const has = config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
  const same =
    [...has].sort().join() === [...want.filter_subjects].sort().join() &&
    config.ack_wait === want.ack_wait &&
    config.max_ack_pending === want.max_ack_pending;
  return same ? info : jsm.consumers.update(stream, options.durable, want);
}

function wanted(options: ConsumeOptions): { filter_subjects: string[]; ack_wait: number; max_ack_pending: number } {
  return {
    // Twice the same filter is an overlap, which the server refuses.
    filter_subjects: [...new Set(options.filters)],
    ack_wait: nanos(options.ackWaitMs),
    max_ack_pending: Math.max(options.minPending, maxPrefetch) + maxFinishing + maxRetrying,
  };
}

async function verify(jsm: JetStreamManager, stream: string, durable: string): Promise<void> {
  try {
    await jsm.consumers.info(stream, durable);
  } catch (error) {
    if (!isApiError(error, apiCodes.consumerNotFound, apiCodes.streamNotFound)) return;
    throw new TransientError("BUS_DURABLE_LOST", `the durable ${durable} of ${stream} is gone`, {
      cause: error,
      hint: "somebody deleted it, or the bus lost it; it is made again where it stood",
    });
  }
}

async function depth(jsm: JetStreamManager, stream: string, durable: string): ReturnType<PullOptions["depth"]> {
  try {
    const info = await jsm.consumers.info(stream, durable);
    return {
      pending: info.num_pending,
      unacked: info.num_ack_pending,
      settledThrough: info.ack_floor.stream_seq,
    };
  } catch (error) {
    throw busError(error, `ask for the depth of ${durable}`);
  }
}
