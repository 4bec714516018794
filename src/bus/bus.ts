// The contract of the bus: a stream for each source, subscriptions, what is stored beside them, and small state.

import type { DataRef } from "../event/data-ref.ts";
import type { StoredMessage } from "../event/parse-event.ts";
import type { RetryMessage } from "../event/retry-message.ts";
import type { SourceId } from "../event/source-id.ts";
import type { WorkerEvent } from "../event/worker-event.ts";
import type { SourceStream } from "./source-stream.ts";
import type { StateStore } from "./state-store.ts";
import type { ConsumeOptions, Subscription } from "./subscription.ts";

/** One message of the event log. */
export interface LogRecord {
  /** `log.<automation>.<outcome>` */
  readonly subject: string;
  readonly data: Uint8Array;
  /** Another one of this id that is seen to stand, as long as the bus knows ids, stands for this one. It costs the server memory for that time. */
  readonly id?: string;
  /** Of one with an id: since when another one of it may stand, ms since 1970; looked for in the stream itself, however long ago that is. */
  readonly since?: number;
}

export interface NewestEvent {
  readonly sequence: number;
  /** `ce-time`. */
  readonly time: string;
}

/** One id that an event is known by. */
export interface ReceivedKey {
  /** Any text; of one event within three days. */
  readonly key: string;
  /** What whoever sends the same one again is to hear of it. */
  readonly note?: string;
}

/** Whether an event is stored now; else an event with one of its ids was before, and the note that this one gave. */
export type Received = { readonly stored: true } | { readonly stored: false; readonly note: string | undefined };

export interface DeadLetterOptions {
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Where the letter may be stored already: since when, ms since 1970. One of its `Nats-Msg-Id` is looked for from then on, for what
   * the bus itself remembers of ids it forgets after a while.
   */
  readonly since?: number | undefined;
}

export interface Bus extends AsyncDisposable {
  /** Names this worker in what it writes: other than that of any other one. */
  readonly instance: string;
  stream(source: SourceId): SourceStream;
  /** Resolves once the durable exists, which may be as late as its stream does. */
  consume(options: ConsumeOptions): Promise<Subscription>;
  /**
   * Takes away the durables that the same automation had on a source's stream before this one, with what is on record of
   * them; what is not there is fine. Nobody may pull from them any more. @throws TransientError
   */
  forgetOlder(source: SourceId, durable: string): Promise<void>;
  /**
   * Stores a dead letter; resolves at the bus' acknowledgement, however long the bus is away. Headers are lines ended by CRLF.
   * @throws PoisonError when it is larger than a message may be, TransientError when the bus refuses it for now or was closed
   */
  deadLetter(subject: string, head: string, data: Uint8Array, options?: DeadLetterOptions): Promise<void>;
  /**
   * Stores records of the event log; resolves once the bus has acknowledged all of them, to `logLosses` as of then. Given the
   * same objects again, those are left out that are seen to stand.
   * @throws TransientError when not all are known to be stored: whoever sends them again may store some twice; ConfigError
   */
  record(records: readonly LogRecord[]): Promise<number>;
  /**
   * How often the event log was found to have lost something that this worker had recorded, as of the newest interruption:
   * what was recorded at the same number still stands. @throws TransientError while the bus is away, ConfigError
   */
  logLosses(): Promise<number>;
  /**
   * The body of an event that points to it, whole and checked; undefined while it is not there.
   * @throws TransientError while the bus is away
   */
  fetchBody(ref: DataRef): Promise<Uint8Array | undefined>;
  /** How long the source's stream keeps an event; Infinity without a limit, undefined without a stream. @throws TransientError */
  keepsForMs(source: SourceId): Promise<number | undefined>;
  /**
   * Stores an event that comes from no source's log; resolves at the bus' acknowledgement. One with an id that was stored
   * within the last hour is dropped.
   * @throws TransientError, ConfigError
   */
  publish(event: WorkerEvent): Promise<void>;
  /**
   * Stores an event that came from outside, once for each of its ids: of any number at once, by any number of workers. What
   * it resolves to is durable. An id is known for three days.
   * @param keys its ids; without any, each call is an event of its own
   * @throws TransientError when it is not known to be stored, or the bus is away: it may be sent again, with the same ids;
   * ConfigError
   */
  receive(event: WorkerEvent, keys: readonly ReceivedKey[]): Promise<Received>;
  /**
   * Stores an event only where the newest message of its own subject has this number, 0 where there is none. Resolves to its
   * number; undefined when there is another one.
   * @throws TransientError when it is not known to be stored; ConfigError
   */
  fire(event: WorkerEvent, after: number): Promise<number | undefined>;
  /** Number and `ce-time` of the newest message under `events.<origin>.<aggregate>.`, by the stream's leader. @throws TransientError, ConfigError */
  newest(origin: WorkerEvent["origin"], aggregate: string): Promise<NewestEvent | undefined>;
  /**
   * Stores what is to reach one automation later, or once more, in MILLRACE_RETRY; resolves at the bus' acknowledgement. One
   * with the same stream, sequence, automation, run and attempts that was stored within the last hour is dropped: then it resolves
   * to the number of the one before.
   * @throws TransientError, ConfigError; PoisonError RETRY_TOO_LARGE
   */
  later(message: RetryMessage): Promise<number | undefined>;
  /** What a stream holds at a number, by its leader; undefined where it holds nothing there. @throws TransientError */
  read(source: SourceId, sequence: number): Promise<StoredMessage | undefined>;
  /** Counts what happened to the connection after which what the bus had acknowledged may be lost: it may be another server's. */
  interruptions(): number;
  readonly state: StateStore;
  /** Versions of collections: `millrace_schemas`. */
  readonly schemas: StateStore;
  /** For `/healthz` and readiness. */
  connected(): boolean;
  /** Why it cannot be connected to, while that is so and is known. */
  trouble(): { readonly code: string; readonly message: string } | undefined;
}
