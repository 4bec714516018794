// The bus in memory, in one process: the writer, its recovery, lease and checkpoints are the real ones, on streams and
// state that last as long as the process. By an injected clock, so that whoever owns it moves the time.

import { randomBytes } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { durableOwner, seekRun } from "../../event/control.ts";
import type { DataRef } from "../../event/data-ref.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import { encodeRetry, type RetryMessage } from "../../event/retry-message.ts";
import { retryId, type SourceId, streamName, systemId } from "../../event/source-id.ts";
import { escapeToken } from "../../event/subject.ts";
import type { WorkerEvent } from "../../event/worker-event.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Bus, DeadLetterOptions, LogRecord, NewestEvent, Received, ReceivedKey } from "../bus.ts";
import { CarriedDeliveries } from "../carried-deliveries.ts";
import { dataRefTo, pointerTo } from "../claim-check.ts";
import { EventEncoder, encodeWorkerEvent } from "../encode-event.ts";
import { Lifetime } from "../jetstream/client/lifetime.ts";
import {
  type EncodedEvent,
  encodeReceipts,
  outsideMessage,
  readRecord,
  receiptOf,
} from "../jetstream/intake/receipt.ts";
import { StoredConnectorState } from "../jetstream/lease/connector-state.ts";
import type { Fsync } from "../jetstream/lease/horizon.ts";
import { leasePort } from "../jetstream/lease/lease.ts";
import { streamFacts } from "../jetstream/recovery/stream-facts.ts";
import { MAX_ADDED_HEADER_BYTES, MAX_HEAD_BYTES } from "../jetstream/stream/encode.ts";
import { openWriter } from "../jetstream/writer/open-writer.ts";
import { defaultWriterTiming, type WriterTiming } from "../jetstream/writer/writer-options.ts";
import { busClosed, deadLetterTooLarge } from "../shared-errors.ts";
import type { SourceStream, Writer, WriterListener } from "../source-stream.ts";
import type { StateStore } from "../state-store.ts";
import type { ConsumeOptions, Subscription } from "../subscription.ts";
import type { MemoryServer } from "./memory-server.ts";
import { headersOf } from "./memory-stream.ts";
import { MemorySubscription } from "./memory-subscription.ts";

const MAX_PAYLOAD = 1024 * 1024;

export interface MemoryBusOptions {
  /** What it shares with the buses of other workers. */
  readonly server: MemoryServer;
  readonly clock: Clock;
  readonly fsync: Fsync;
  readonly log: Logger;
  readonly timing?: Partial<WriterTiming>;
}

export class MemoryBus implements Bus {
  readonly instance: string = randomBytes(6).toString("hex");
  readonly state: StateStore;
  readonly schemas: StateStore;
  readonly #options: MemoryBusOptions;
  readonly #server: MemoryServer;
  readonly #life = new Lifetime();
  /** Whatever a worker does once its bus is closed comes to nothing, as when its process had ended. */
  readonly #ask = async <T>(answer: () => T | Promise<T>): Promise<T> => {
    this.#life.throwIfOver();
    return answer();
  };

  constructor(options: MemoryBusOptions) {
    this.#options = options;
    this.#server = options.server;
    this.state = this.#whileOpen(options.server.state);
    this.schemas = this.#whileOpen(options.server.schemas);
  }

  connected(): boolean {
    return !this.#life.ended;
  }

  /** Nothing comes between a worker and what it shares with others. */
  interruptions(): number {
    return 0;
  }

  trouble(): undefined {
    return undefined;
  }

  stream(source: SourceId): SourceStream {
    const encoder = new EventEncoder(source);
    const memory = new StoredConnectorState(this.state, source);
    const port = this.#server.port(source, this.#ask);
    return {
      maxMessageBytes: MAX_PAYLOAD - MAX_ADDED_HEADER_BYTES,
      maxHeadBytes: MAX_HEAD_BYTES,
      encode: (event) => encoder.encode(event),
      encodeCopied: (row, place) => encoder.copied(row, place),
      claim: (message) =>
        this.#ask(() => {
          const ref = dataRefTo(message);
          this.#server.bodies.set(ref.name, Uint8Array.from(message.data));
          return pointerTo(message, ref);
        }),
      openWriter: (signal, on) => this.#openWriter(source, memory, signal, on),
      loadMemory: () => memory.load(),
      saveMemory: (value) => memory.save(value),
      ...streamFacts(port, source),
    };
  }

  async consume(options: ConsumeOptions): Promise<Subscription> {
    this.#life.throwIfOver();
    const stream = streamName(options.source);
    if (options.source === systemId || options.source === retryId) this.#server.make(stream);
    const durable = await this.#server.durable(stream, options);
    durable.set(options);
    const subscription = new MemorySubscription(durable, options, this.#life);
    return options.source === retryId ? new CarriedDeliveries(subscription, () => this.interruptions()) : subscription;
  }

  async forgetOlder(source: SourceId, durable: string): Promise<void> {
    this.#life.throwIfOver();
    const stream = streamName(source);
    for (const older of this.#server.forgetOlder(stream, durable)) {
      const { automation, seek } = durableOwner(older);
      const prefix = `attempts.${automation}.${stream}.`;
      for (const key of await this.state.keys(prefix)) {
        const [, run] = key.slice(prefix.length).split(".");
        if (run === (seek === 0 ? undefined : seekRun({ n: seek }))) await this.state.delete(key);
      }
    }
  }

  async deadLetter(subject: string, head: string, data: Uint8Array, { since }: DeadLetterOptions = {}): Promise<void> {
    this.#life.throwIfOver();
    if (head.length + data.length > MAX_PAYLOAD) throw deadLetterTooLarge(data.length);
    const stream = this.#server.make("MILLRACE_DEAD");
    if (since !== undefined && stream.holds(subject, head, since)) return;
    stream.store(subject, head, data);
  }

  async record(records: readonly LogRecord[]): Promise<number> {
    this.#life.throwIfOver();
    const stream = this.#server.make("MILLRACE_LOG");
    for (const { subject, data, id, since } of records) {
      const head = id === undefined ? "" : `Nats-Msg-Id: ${id}\r\n`;
      if (since === undefined || !stream.holds(subject, head, since)) stream.store(subject, head, data);
    }
    return 0;
  }

  /** It loses nothing that the worker outlives. */
  async logLosses(): Promise<number> {
    return 0;
  }

  async publish(event: WorkerEvent): Promise<void> {
    this.#life.throwIfOver();
    const { subject, id, head, data } = encodeWorkerEvent(event);
    this.#server.make(streamName(systemId)).store(subject, `${head}Nats-Msg-Id: ${id}\r\n`, data);
  }

  async receive(event: WorkerEvent, keys: readonly ReceivedKey[]): Promise<Received> {
    this.#life.throwIfOver();
    const stream = this.#server.make(streamName(systemId));
    const receipt = receiptOf(this.#fit(encodeWorkerEvent(event)), keys);
    const standing = receipt.records.map(({ subject }) => stream.last(subject)).find((record) => record !== undefined);
    if (standing !== undefined) return { stored: false, note: readRecord(standing.data).note };
    stream.append(encodeReceipts([receipt], receipt.nonce));
    return { stored: true };
  }

  async fire(event: WorkerEvent, after: number): Promise<number | undefined> {
    this.#life.throwIfOver();
    const { subject, head, data } = encodeWorkerEvent(event);
    const stream = this.#server.make(streamName(systemId));
    if ((stream.last(subject)?.seq ?? 0) !== after) return undefined;
    stream.store(subject, head, data);
    return stream.state.lastSeq;
  }

  newest(origin: WorkerEvent["origin"], aggregate: string): Promise<NewestEvent | undefined> {
    return this.#ask(() => {
      const stream = this.#server.streams.get(streamName(systemId));
      const found = stream?.last(`events.${origin}.${escapeToken(aggregate)}.>`);
      return found && { sequence: found.seq, time: found.header("ce-time") ?? "" };
    });
  }

  async later(message: RetryMessage): Promise<number | undefined> {
    this.#life.throwIfOver();
    const { subject, id, head, data } = encodeRetry(message, MAX_PAYLOAD);
    return this.#server.make(streamName(retryId)).store(subject, `${head}Nats-Msg-Id: ${id}\r\n`, data);
  }

  read(source: SourceId, sequence: number): Promise<StoredMessage | undefined> {
    return this.#ask(() => {
      const message = this.#server.streams.get(streamName(source))?.at(sequence);
      return message && { ...message, sequence, headers: () => headersOf(message) };
    });
  }

  fetchBody({ name }: DataRef): Promise<Uint8Array | undefined> {
    return this.#ask(() => this.#server.bodies.get(name));
  }

  keepsForMs(source: SourceId): Promise<number | undefined> {
    return this.#ask(() => (this.#server.streams.has(streamName(source)) ? Number.POSITIVE_INFINITY : undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.end(busClosed());
  }

  #fit(event: EncodedEvent & { readonly id: string }): EncodedEvent {
    if (event.head.length + event.data.length + MAX_ADDED_HEADER_BYTES <= MAX_PAYLOAD) return event;
    const message = outsideMessage(event);
    const ref = dataRefTo(message);
    this.#server.bodies.set(ref.name, Uint8Array.from(event.data));
    return pointerTo(message, ref);
  }

  #openWriter(
    source: SourceId,
    memory: StoredConnectorState,
    signal: AbortSignal,
    on: WriterListener = {},
  ): Promise<Writer> {
    const { clock, fsync, log, timing } = this.#options;
    const nothing = (): void => {};
    return openWriter(this.#server.port(source, this.#ask), source, {
      ...defaultWriterTiming,
      ...timing,
      clock,
      instance: this.instance,
      leases: leasePort(this.#whileOpen(this.#server.leases), source),
      state: this.state,
      memory,
      fsync,
      log,
      hasBody: async ({ name }) => this.#server.bodies.has(name),
      prepare: async () => {},
      onForeign: nothing,
      onRemoved: nothing,
      onClosed: async () => {},
      signal,
      on,
    });
  }

  #whileOpen(store: StateStore): StateStore {
    return {
      get: (key) => this.#ask(() => store.get(key)),
      put: (key, value, revision) => this.#ask(() => store.put(key, value, revision)),
      delete: (key) => this.#ask(() => store.delete(key)),
      keys: (prefix) => this.#ask(() => store.keys(prefix)),
    };
  }
}
