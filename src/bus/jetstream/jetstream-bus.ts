// The bus on JetStream: opens the connection, and hands out each source's stream.

import { randomBytes } from "node:crypto";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { MillraceError } from "../../errors.ts";
import type { DataRef } from "../../event/data-ref.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import type { Retention } from "../../event/retention.ts";
import { type SourceId, streamName, systemId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Bus } from "../bus.ts";
import { EventEncoder } from "../encode-event.ts";
import type { SourceStream, Writer, WriterListener } from "../source-stream.ts";
import type { StateStore } from "../state-store.ts";
import type { ConsumeOptions, Subscription } from "../subscription.ts";
import { LargeBodies } from "./bodies/large-bodies.ts";
import type { BusAccess } from "./client/access.ts";
import { apiCodes } from "./client/api-codes.ts";
import { LEASE_BUCKET, SCHEMA_BUCKET, STATE_BUCKET } from "./client/buckets.ts";
import { asked, orNothing } from "./client/bus-errors.ts";
import { Connection } from "./client/connection.ts";
import { type DeadLetters, openDeadLetters, type StoreDeadLetter } from "./client/dead-letters.ts";
import { EventLog } from "./client/event-log.ts";
import { openRetryStream, type RetryStream } from "./client/retry-stream.ts";
import { headersOf } from "./client/shared-stream.ts";
import { openStateStore } from "./client/state-store.ts";
import { findStream } from "./client/streams.ts";
import { openWorkerEvents, type WorkerEvents } from "./client/worker-events.ts";
import { Confirmations } from "./consumer/confirmations.ts";
import { openSubscription } from "./consumer/consumer.ts";
import { forgetOlder } from "./consumer/forget-older.ts";
import { OutsideEvents } from "./intake/outside-events.ts";
import { StoredConnectorState } from "./lease/connector-state.ts";
import type { Fsync } from "./lease/horizon.ts";
import { openSourceWriter } from "./open-source-writer.ts";
import { streamFacts } from "./recovery/stream-facts.ts";
import { MAX_ADDED_HEADER_BYTES, MAX_HEAD_BYTES, MAX_POINTER_BYTES } from "./stream/encode.ts";
import { streamReader } from "./stream/jetstream-port.ts";
import { defaultWriterTiming, type WriterTiming } from "./writer/writer-options.ts";

export interface BusOptions extends BusAccess {
  readonly replicas: number;
  /** What streams that are made keep. */
  readonly retention?: Retention;
  readonly fsync: Fsync;
  readonly log: Logger;
  /** Ends the waiting for a server that is away. */
  readonly signal: AbortSignal;
  readonly timing?: Partial<BusTiming>;
}

/** Times that tests shorten; see `defaultTiming`. */
export interface BusTiming extends WriterTiming {
  readonly ackTimeoutMs: number;
  readonly pingIntervalMs: number;
}

const defaultTiming: BusTiming = { ...defaultWriterTiming, ackTimeoutMs: 5000, pingIntervalMs: 8_000 };

const nothingThere = [apiCodes.noMessageFound, apiCodes.streamNotFound] as const;

/** Leases of workers that are long gone disappear. */
const LEASE_BUCKET_TTL_MS = 60 * 60_000;

/**
 * Connects, and changes nothing on the server: what is missing there is made when it is first written.
 * @throws ConfigError when the server cannot serve; waits for one that is only away
 */
export async function openJetStreamBus(options: BusOptions): Promise<Bus> {
  const timing = { ...defaultTiming, ...options.timing };
  const connection = await Connection.open({ ...options, pingIntervalMs: timing.pingIntervalMs });
  const { nc } = connection;
  const { replicas } = options;
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const state = await openStateStore(nc, { bucket: STATE_BUCKET, replicas });
  const schemas = await openStateStore(nc, { bucket: SCHEMA_BUCKET, replicas });
  const leases = await openStateStore(nc, { bucket: LEASE_BUCKET, replicas, ttlMs: LEASE_BUCKET_TTL_MS });
  const deadLetters = openDeadLetters(nc, { jsm, replicas });
  const workerEvents = openWorkerEvents(nc, { replicas });
  const eventLog = new EventLog({ connection, jsm, replicas });
  const retries = openRetryStream(nc, { replicas });
  const stores = { state, schemas, leases, deadLetters, workerEvents, eventLog, retries };
  return new JetStreamBus({ options, timing, connection, jsm, ...stores });
}

interface BusParts {
  readonly options: BusOptions;
  readonly timing: BusTiming;
  readonly connection: Connection;
  readonly jsm: JetStreamManager;
  readonly state: StateStore;
  readonly schemas: StateStore;
  readonly leases: StateStore;
  readonly deadLetters: DeadLetters;
  readonly workerEvents: WorkerEvents;
  readonly eventLog: EventLog;
  readonly retries: RetryStream;
}

class JetStreamBus implements Bus {
  readonly instance: string = randomBytes(6).toString("hex");
  readonly state: StateStore;
  readonly schemas: StateStore;
  readonly deadLetter: StoreDeadLetter;
  readonly publish: WorkerEvents["publish"];
  readonly receive: OutsideEvents["receive"];
  readonly fire: OutsideEvents["fire"];
  readonly newest: OutsideEvents["newest"];
  readonly record: EventLog["record"];
  readonly logLosses: EventLog["losses"];
  readonly later: RetryStream["store"];
  readonly #parts: BusParts;
  readonly #confirmations: Confirmations;
  readonly #largeBodies: LargeBodies;
  #interruptions = 0;

  constructor(parts: BusParts) {
    const { state, schemas, deadLetters, workerEvents, eventLog, retries, connection, jsm, options } = parts;
    this.state = state;
    this.schemas = schemas;
    this.deadLetter = deadLetters.store;
    this.publish = workerEvents.publish;
    this.record = (records) => eventLog.record(records);
    this.logLosses = () => eventLog.losses();
    this.later = retries.store;
    this.#parts = parts;
    connection.onDisruption(() => {
      this.#interruptions++;
    });
    const outside = new OutsideEvents({
      connection,
      jsm,
      instance: this.instance,
      make: workerEvents.make,
      claim: (message, signal) => this.#largeBodies.claim(systemId, message, signal),
    });
    this.receive = (event, keys) => outside.receive(event, keys);
    this.fire = (event, after) => outside.fire(event, after);
    this.newest = (origin, aggregate) => outside.newest(origin, aggregate);
    this.#confirmations = new Confirmations(connection);
    this.#largeBodies = new LargeBodies({ nc: connection.nc, jsm, replicas: options.replicas });
  }

  connected(): boolean {
    return this.#parts.connection.connected;
  }

  interruptions(): number {
    return this.#interruptions;
  }

  trouble(): MillraceError | undefined {
    return this.#parts.connection.trouble;
  }

  stream(source: SourceId): SourceStream {
    const memory = new StoredConnectorState(this.state, source);
    // Asked each time: another server, or the same one with another configuration, may take less.
    const maxMessageBytes = (): number => this.#parts.connection.maxPayload - MAX_ADDED_HEADER_BYTES;
    const encoder = new EventEncoder(source);
    const reader = streamReader(this.#parts.jsm, streamName(source));
    return {
      get maxMessageBytes() {
        return maxMessageBytes();
      },
      get maxHeadBytes() {
        return Math.min(MAX_HEAD_BYTES, maxMessageBytes() - MAX_POINTER_BYTES);
      },
      encode: (event) => encoder.encode(event),
      encodeCopied: (row, place) => encoder.copied(row, place),
      claim: (message, signal) => this.#largeBodies.claim(source, message, signal),
      openWriter: (signal, on) => this.#openWriter(source, memory, signal, on),
      loadMemory: () => memory.load(),
      saveMemory: (value) => memory.save(value),
      ...streamFacts(reader, source),
    };
  }

  consume(options: ConsumeOptions): Promise<Subscription> {
    const { connection, ...parts } = this.#parts;
    return openSubscription(
      { ...parts, nc: connection.nc, confirmations: this.#confirmations, interruptions: () => this.#interruptions },
      options,
    );
  }

  forgetOlder(source: SourceId, durable: string): Promise<void> {
    return forgetOlder(this.#parts.jsm, streamName(source), durable);
  }

  fetchBody(ref: DataRef): Promise<Uint8Array | undefined> {
    return this.#largeBodies.fetch(ref);
  }

  async read(source: SourceId, sequence: number): Promise<StoredMessage | undefined> {
    const stream = streamName(source);
    const ask = () => orNothing(this.#parts.jsm.streams.getMessage(stream, { seq: sequence }), ...nothingThere);
    const stored = await asked(`read the message ${sequence} of ${stream}`, ask);
    if (!stored) return undefined;
    const { subject, header, data } = stored;
    return {
      subject,
      sequence,
      data,
      header: (name) => header?.get(name) || undefined,
      headers: () => headersOf(header),
    };
  }

  async keepsForMs(source: SourceId): Promise<number | undefined> {
    const stream = await findStream(this.#parts.jsm, source);
    if (stream === undefined) return undefined;
    return stream.config.max_age === 0 ? Number.POSITIVE_INFINITY : stream.config.max_age / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.connection[Symbol.asyncDispose]();
  }

  #openWriter(
    source: SourceId,
    memory: StoredConnectorState,
    signal: AbortSignal,
    on: WriterListener | undefined,
  ): Promise<Writer> {
    const { options, timing, connection, jsm, leases, state, deadLetters, retries } = this.#parts;
    const { log, fsync, replicas, retention } = options;
    return openSourceWriter({
      ...{ source, connection, jsm, instance: this.instance, leases, state, memory, largeBodies: this.#largeBodies },
      ...{ deadLetters, retries, replicas, retention, fsync, timing, log, signal, on },
    });
  }
}
