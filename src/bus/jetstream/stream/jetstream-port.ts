// The real StreamPort: JetStream's API for reads, and our own publishing on `nc.publish` with prebuilt header bytes.

import type { JetStreamManager } from "@nats-io/jetstream";
import { createInbox, type Msg, type Subscription } from "@nats-io/transport-node";
import { TransientError, toError } from "../../../errors.ts";
import type { Retention } from "../../../event/retention.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import { apiCodes } from "../client/api-codes.ts";
import { asked, busError, orNothing } from "../client/bus-errors.ts";
import type { Connection } from "../client/connection.ts";
import { refuseUnfit } from "../client/stream-fitness.ts";
import { createStream, findStream, needsOf } from "../client/streams.ts";
import {
  type Encoded,
  MAX_BATCH_MESSAGES,
  type PublishAck,
  type StoredMessage,
  type StreamPort,
  type StreamReader,
  type StreamState,
} from "./port.ts";
import { away, parseAck, publishRaw } from "./raw-publish.ts";

export interface JetStreamPortOptions {
  readonly connection: Connection;
  readonly jsm: JetStreamManager;
  readonly source: SourceId;
  readonly replicas: number;
  readonly retention: Retention | undefined;
  /** Streams that keep what belongs to this one: checkpoints, bodies, dead letters. Perhaps on other servers of the cluster. */
  readonly beside: readonly string[];
  /** How long an acknowledgement may take. */
  readonly ackTimeoutMs: number;
}

interface Pending {
  readonly batch: readonly Encoded[];
  readonly reply: string;
  readonly resolve: (ack: PublishAck) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class JetStreamPort implements StreamPort, AsyncDisposable {
  readonly maxBatchMessages = MAX_BATCH_MESSAGES;
  readonly read: StreamPort["read"];
  readonly readLast: StreamPort["readLast"];
  readonly readNext: StreamPort["readNext"];
  readonly #options: JetStreamPortOptions;
  readonly #stream: string;
  readonly #inbox = createInbox();
  readonly #acks: Subscription;
  readonly #elections: readonly Subscription[];
  readonly #listeners = new Set<() => void>();
  readonly #stopListening: readonly (() => void)[];
  #sends = 0;
  #pending: Pending | undefined;

  constructor(options: JetStreamPortOptions) {
    const { connection, source } = options;
    this.#options = options;
    this.#stream = streamName(source);
    const { read, readLast, readNext } = streamReader(options.jsm, this.#stream);
    this.read = read;
    this.readLast = readLast;
    this.readNext = readNext;
    this.#acks = connection.nc.subscribe(`${this.#inbox}.*`, { callback: (_, message) => this.#answered(message) });
    // Of what stands beside it too: it may be lost where the events are not.
    this.#elections = [this.#stream, ...options.beside].map((stream) =>
      connection.nc.subscribe(`$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.${stream}`, {
        callback: () => this.#disrupted("another server leads the stream"),
      }),
    );
    this.#stopListening = [
      connection.onDisruption(() => this.#disrupted("the connection to NATS was interrupted")),
      connection.onPublishRefused((subject) => this.#refused(subject)),
    ];
  }

  async info(): Promise<StreamState | undefined> {
    const info = await findStream(this.#options.jsm, this.#options.source);
    if (info === undefined) return undefined;
    refuseUnfit(info, needsOf(this.#options.source, this.#options.connection.maxPayload));
    return { created: info.created, firstSeq: info.state.first_seq, lastSeq: info.state.last_seq };
  }

  async create(firstSeq: number): Promise<StreamState> {
    const { jsm, source, replicas, retention } = this.#options;
    const { created, state } = await createStream(jsm, source, { replicas, firstSeq, retention });
    return { created, firstSeq: state.first_seq, lastSeq: state.last_seq };
  }

  async isRemoved(seq: number): Promise<boolean> {
    const next = await readMessage(this.#options.jsm, this.#stream, { seq, next_by_subj: ">" });
    return next !== undefined && next.seq > seq;
  }

  async highestDelivered(): Promise<number> {
    let highest = 0;
    await asked(`list the consumers of ${this.#stream}`, async () => {
      for await (const { delivered } of this.#options.jsm.consumers.list(this.#stream))
        highest = Math.max(highest, delivered.stream_seq);
    });
    return highest;
  }

  send(batch: readonly Encoded[]): Promise<PublishAck> {
    const { connection, ackTimeoutMs } = this.#options;
    if (!connection.connected) return Promise.reject(away("NATS is not connected"));
    const { maxPayload } = connection;
    if (batch.some(({ headers, data }) => headers.length + data.length > maxPayload))
      return Promise.reject(payloadLowered(maxPayload));
    const reply = `${this.#inbox}.${++this.#sends}`;
    return new Promise<PublishAck>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settle(reply)?.reject(away(`no acknowledgement within ${ackTimeoutMs} ms`)),
        ackTimeoutMs,
      );
      this.#pending = { batch, reply, resolve, reject, timer };
      try {
        publishRaw(connection.nc, batch, reply);
      } catch (thrown) {
        this.#settle(reply)?.reject(busError(thrown, "publish"));
      }
    });
  }

  async ping(): Promise<void> {
    const { jsm, beside } = this.#options;
    // What is not there yet has nothing to lose.
    const reach = (stream: string) => () => orNothing(jsm.streams.info(stream), apiCodes.streamNotFound);
    await Promise.all([this.#stream, ...beside].map((stream) => asked(`reach the stream ${stream}`, reach(stream))));
  }

  onDisruption(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stopListening) stop();
    this.#acks.unsubscribe();
    for (const elections of this.#elections) elections.unsubscribe();
    this.#settle(this.#pending?.reply)?.reject(away("the writer was closed"));
  }

  /** The client never fails what is under way when a connection goes: we do, at once. */
  #disrupted(what: string): void {
    this.#settle(this.#pending?.reply)?.reject(away(what));
    for (const listener of this.#listeners) listener();
  }

  /** Without this the acknowledgement of what the server has dropped would be waited for in vain. */
  #refused(subject: string): void {
    const pending = this.#pending;
    if (!pending?.batch.some((message) => message.subject === subject)) return;
    this.#settle(pending.reply)?.reject(
      new TransientError("BUS_PERMISSION", `NATS does not let this user publish to ${subject}`, {
        hint: "give the worker's user the permission to publish to cdc.>, events.> and meta.>",
      }),
    );
  }

  #settle(reply: string | undefined): Pending | undefined {
    const pending = this.#pending;
    if (pending === undefined || pending.reply !== reply) return undefined; // an answer nobody waits for any more
    clearTimeout(pending.timer);
    this.#pending = undefined;
    return pending;
  }

  #answered(message: Msg): void {
    const pending = this.#settle(message.subject);
    if (pending === undefined) return;
    try {
      pending.resolve(parseAck(message));
    } catch (error) {
      pending.reject(toError(error));
    }
  }
}

type MessageQuery = { readonly seq: number; readonly next_by_subj?: string } | { readonly last_by_subj: string };

/** Through the stream's leader. Undefined when there is no such message. @throws TransientError, ConfigError */
export async function readMessage(
  jsm: JetStreamManager,
  stream: string,
  query: MessageQuery,
): Promise<StoredMessage | undefined> {
  const stored = await asked(`read ${JSON.stringify(query)} of ${stream}`, () =>
    orNothing(jsm.streams.getMessage(stream, query), apiCodes.noMessageFound),
  );
  if (!stored) return undefined;
  const { seq, subject, header, data } = stored;
  return { seq, subject, data, header: (name) => header?.get(name) || undefined };
}

/** A stream to read from, through its leader, without writing it. */
export function streamReader(jsm: JetStreamManager, stream: string): StreamReader {
  return {
    read: (seq) => readMessage(jsm, stream, { seq }),
    readLast: (subject) => readMessage(jsm, stream, { last_by_subj: subject }),
    readNext: (seq, subject) => readMessage(jsm, stream, { seq, next_by_subj: subject }),
  };
}

function payloadLowered(maxPayload: number): TransientError {
  return new TransientError("BUS_PAYLOAD_LOWERED", `nats-server takes messages of ${maxPayload} bytes by now`, {
    hint: "nothing to do: the source is read again, and what is larger goes to the object store",
  });
}
