// The contract of the bus: a fenced writer for each source, consumers, dead letters, and small state.

import type { CollectionName } from "../event/collection-name.ts";
import type { DataRef } from "../event/data-ref.ts";
import type { StreamMessage } from "../event/message.ts";
import type { StoredMessage } from "../event/parse-event.ts";
import type { Place, Positions } from "../event/positions.ts";
import type { Carried, RetryMessage } from "../event/retry-message.ts";
import type { CopiedRow, SourceEvent } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Op } from "../event/subject.ts";
import type { GapData } from "../event/system-event.ts";
import type { WorkerEvent } from "../event/worker-event.ts";

/** How far a source is, which may be saved, then acknowledged. */
export interface Mark {
  /** Of every partition that has one. */
  readonly positions: Positions;
  /** Sequence and id of the newest message of the stream then. */
  readonly streamSeq: number;
  readonly id: string;
  /** When that stream was made: a mark is about no other one of the same name. */
  readonly streamCreated: string;
  /**
   * Of the positions, those that only the save holds: then the save itself must be durable before the acknowledgement.
   */
  readonly unstored: Positions | undefined;
  /** How far the stream was then, where it is known; between its places and the mark's the source has no event. */
  readonly behind: Positions | undefined;
  /** Whether the stream durably holds all before these places; else each counts only while the stream reaches its `behind`. */
  readonly durable: boolean;
  /** Partitions that are over and have no place here: what is saved of them elsewhere goes too. */
  readonly ended: ReadonlySet<string>;
  /** How far the second producer was then, by the stream's newest marker of it. */
  readonly progress: SideProgress | undefined;
}

/** What the newest `meta.<source>.backfill` of a stream says. */
export interface SideProgress {
  /** Of the marker. */
  readonly id: string;
  /** JSON, small; only the producer reads it. */
  readonly value: Readonly<Record<string, unknown>>;
}

/** What a second producer puts into the stream at once: rows, and how far it is with them; also no rows. */
export interface SideBatch {
  /** It stands only where the stream holds all up to here. */
  readonly notBefore: Positions;
  /** Read directly behind `messages`, which may decide it. */
  readonly progress: SideProgress["value"];
  /**
   * Makes the messages of the rows, at most 999 with 4 MiB, which repeat the place. Called without a pause before they are sent:
   * all that stands before them is in the stream by then. Called again where they must be sent again; what it throws ends the writer.
   */
  messages(place: Place): readonly StreamMessage[];
}

/** A message; a commit that has none of its own; or that a partition is over, whose last place is acknowledged. */
export type WriterItem =
  | StreamMessage
  | ({ readonly type: "commit" } & Place)
  | ({ readonly type: "ended"; readonly partition: string } & Place);

/** The right to write one source's stream. Only one is alive on the bus; all others are fenced. */
export interface Writer extends AsyncDisposable {
  /** Where the source goes on from: undefined at its very first start. */
  readonly resume: Positions | undefined;
  /** The lease number written into the stream. */
  readonly lease: number;
  /**
   * Queues messages, commits and ends of partitions in order; resolves when there is room for more (bounded by bytes).
   * Behind the end of a partition nothing of it may come.
   * @throws whatever `failed` rejects with
   */
  write(items: readonly WriterItem[]): Promise<void>;
  /** How far the second producer had come, when the writer was opened; undefined where none has stored anything. */
  readonly progress: SideProgress["value"] | undefined;
  /** The sequence up to which the second producer has heard of all that the stream holds: of its newest marker, or of a checkpoint. */
  readonly progressSeq: number;
  /**
   * Stores a batch of a second producer as one atomic batch with its progress marker at the end, between two transactions,
   * and never two of them while the tail waits. One at a time; resolves when it is stored, which it is exactly once.
   * @throws whatever `failed` rejects with: then the progress of the next writer tells whether it was stored
   */
  insert(batch: SideBatch): Promise<void>;
  /** Resolves at the next place that is to be saved, always the newest one; one that is durable goes first. */
  nextMark(): Promise<Mark>;
  /** Stores the checkpoint. @throws FencedError when the lease is another's. */
  save(mark: Mark): Promise<void>;
  /** Resolves at the next place that only a save holds, once the bus can no longer lose that save. */
  nextSaved(): Promise<Mark>;
  /** Rejects once this writer can do no more: FencedError, or TransientError when the source must be read again. Never resolves. */
  readonly failed: Promise<never>;
  /** Waits until all whole transactions that were queued are stored, at most this long. */
  flush(timeoutMs: number): Promise<void>;
  /** For how long nothing could be stored though something waits, or what is stored cannot be found out, in ms. */
  stalledMs(): number;
  /** What went wrong last, while that is so. */
  stalledBy(): { readonly code: string; readonly message: string } | undefined;
  /** The sequence of the newest message that the stream is known to hold. */
  lastSequence(): number;
  /** When the newest transaction that this writer stored was committed, RFC 3339; undefined before the first one. */
  committedAt(): string | undefined;
  /** What waits for the bus' fsync before it may be saved. */
  heldForFsync(): { readonly marks: number; readonly oldestMs: number };
}

/** Events between the two positions can never come; see `GapData`. */
export interface RecordedGap extends Pick<GapData, "code" | "after" | "upTo"> {
  readonly agoMs: number;
}

/** Hears why a writer is not there yet, and what becomes of what it writes. */
export interface WriterListener {
  /** Another worker holds the lease, of that number. */
  waiting?(lease: number): void;
  /** Messages are read back, which may take a while: how many at most, in words. */
  readingBack?(what: string): void;
  /** What a stored batch holds. */
  stored?(messages: readonly Pick<StreamMessage, "committedAt" | "position" | "trace">[]): void;
  /** It had to find out again where the stream ends. */
  recovered?(): void;
}

/** All that the worker needs of the bus for one source. */
export interface SourceStream {
  /** Bytes of headers and body that one message may have. */
  readonly maxMessageBytes: number;
  /** Bytes of the headers alone. */
  readonly maxHeadBytes: number;
  /** What an event becomes on this bus: its subject and its header lines. */
  encode(event: SourceEvent): StreamMessage;
  /** The same for a row of a copy, at the place that it repeats. */
  encodeCopied(row: CopiedRow, place: Place): StreamMessage;
  /**
   * Stores the body of a message that is larger than one may be; resolves, once it is acknowledged, to the message that
   * points to it. However often and by whom it is done, the outcome is the same.
   * @param signal ends the waiting for a bus that is away
   * @throws TransientError when the bus refuses it for now or the signal ended it; ConfigError
   */
  claim(message: StreamMessage, signal: AbortSignal): Promise<StreamMessage>;
  /**
   * Waits for the lease, then for the bus; finds out where the stream ends.
   * @param on hears of what takes long, and then of what is stored
   * @throws ConfigError, FencedError
   */
  openWriter(signal: AbortSignal, on?: WriterListener): Promise<Writer>;
  /** What the source must not forget. */
  loadMemory(): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** @throws FencedError when it was saved under a newer lease than that of the last writer opened here */
  saveMemory(value: Readonly<Record<string, unknown>>): Promise<void>;
  /** What the stream's newest history begins behind; undefined where that is no gap. @throws TransientError */
  recordedGap(): Promise<RecordedGap | undefined>;
  /** Id of the newest `gap` marker. @throws TransientError */
  newestGap(): Promise<string | undefined>;
  /** Changes of a collection that the stream holds behind a sequence, oldest first. For whoever writes it, before he writes. @throws TransientError */
  changesBehind(what: ChangesBehind): AsyncIterable<StoredChange>;
}

/** Which of a stream's changes. */
export interface ChangesBehind extends CollectionName {
  readonly seq: number;
  readonly op: Op;
}

/** A change that is in the stream. */
export interface StoredChange {
  /** As the change had it when it was handed out. */
  readonly key: string;
  /** The body; undefined where it is kept beside the stream. */
  readonly data: Uint8Array | undefined;
}

/** One handing-over of a message to an automation. */
export interface Delivery {
  readonly subject: string;
  /** A header's value, percent-decoding left to the reader. */
  header(name: string): string | undefined;
  /** All headers as they came, for a dead letter. */
  headers(): Readonly<Record<string, string>>;
  readonly data: Uint8Array;
  /** The name of the stream that the event stands in, and its number there: also of one that waited in MILLRACE_RETRY. */
  readonly stream: string;
  readonly sequence: number;
  /**
   * Sequence of the one that its durable handed out right before it, where that was to us: no event that the filters let
   * through stands between the two. Undefined where that is not known.
   */
  readonly follows: number | undefined;
  /** The replay that it is part of, or the seek that it is handed out behind; undefined for the event's first run. With stream and sequence it names what is handled. */
  readonly run?: string | undefined;
  /** What came along out of MILLRACE_RETRY; undefined for the stream's own delivery. */
  readonly carried?: Carried | undefined;
  /** Gives a carried one the body that did not come along. */
  withBody?(data: Uint8Array): void;
  /** Whether it may have been handed out before, be it only to a worker that never began it: then it may be on record. */
  readonly again: boolean;
  /** Whether it may have been handed out, and settled, by a durable that this one replaces. */
  readonly remade: boolean;
  /** It is what another delivery had in hand, whose subscription is over: whoever has that one goes on with this one's right. */
  succeed(older: Delivery): void;
  /**
   * Whether it is surely still ours: the bus has not begun to hand it out to another worker since it came, or since the
   * last sign of life that it heard. Once it is not, no handler may begin and no failure may be told.
   */
  readonly ours: boolean;
  /** Whether a handler may begin for it now: it is ours, and nothing that has to end before it may be in another's hand. */
  readonly free: boolean;
  /** Waits, where it is not ours any more, for it to be handed out to us once more; whether it is ours now. */
  regained(withinMs: number): Promise<boolean>;
  /**
   * Resolves when the server has confirmed the ack; asks again until then, for a while.
   * @throws TransientError `BUS_ACK_INTERRUPTED` when the connection broke before that: what was told of the event before it
   * may be lost, and is told again first; another one when the subscription is over, or the event has to come again
   */
  ack(): Promise<void>;
  /** Whether this very event still stands at its sequence: a server that was set back gives the number to another one. @throws TransientError */
  stands(): Promise<boolean>;
  /** Comes again after the delay; where it is not ours any more, only let go. */
  retry(delayMs: number): void;
  /** Still being worked on: the server must not hand it out again. */
  working(): void;
  /** Never again. Only after its dead letter is stored. Confirmed like `ack`: when it were lost, the event would be handled anew. */
  terminate(reason: string): Promise<void>;
}

export interface ConsumeOptions {
  /** `retryId` for what waits for this automation in MILLRACE_RETRY. */
  readonly source: SourceId;
  /** The durable's name: the automation's id; behind a seek with its number. */
  readonly durable: string;
  /** What all of its deliveries have as their `run`. */
  readonly run?: string | undefined;
  readonly filters: readonly string[];
  /**
   * Where a durable begins of which nothing is on record: behind the newest message, at the first, at a sequence, or at the first
   * message that was stored at a time or later.
   */
  readonly start: "now" | "earliest" | number | Date;
  /** Deliveries that may be out at once, more while they end quickly; those that wait for a retry do not count. */
  readonly minPending: number;
  readonly ackWaitMs: number;
  /** One subscription at a time is handed anything, of all workers; undefined: they share what comes. */
  readonly ordered?: OrderedConsuming;
  /** Ends the wait for a stream that does not exist yet, and the subscription itself. */
  readonly signal: AbortSignal;
  /** Called, at most once, when the bus has said that there is no such stream: it is waited for then, and handed out from its first message on. */
  readonly waiting?: () => void;
}

/** What a subscription has in hand and asks for at most, in bytes, whatever the messages' number; one alone may be larger. */
export const MOST_BYTES_IN_HAND: number = 32 * 1024 * 1024;

/** What an ordered subscription has to know of whoever takes what it hands out. */
export interface OrderedConsuming {
  /** How many may be in hand at once: all that was handed out and is not settled. */
  readonly most: number;
  /** How many deliveries of it are in hand, whatever subscription handed them out; undefined while one is being settled. */
  inHand(): number | undefined;
}

/** What stops an automation, though nothing of it is broken. */
export interface Obstacle {
  readonly code:
    | "AUTOMATION_PAUSED"
    | "AUTOMATION_ENDPOINT_PAUSED"
    | "AUTOMATION_RETRIES_FULL"
    | "AUTOMATION_WAITS_ALONE"
    | "AUTOMATION_KEYS_BLOCKED"
    | "AUTOMATION_KEYS_FULL"
    | "BUS_PERMISSION";
  readonly message: string;
}

/** Sequences of a stream, both ends included. */
export interface StreamGap {
  readonly first: number;
  readonly last: number;
  /** How many of them were taken out, where others between them are still there; undefined: all. */
  readonly removed?: number;
}

/**
 * A running subscription, handing out all that is there: iterate it at once and without pausing (a delivery that nobody
 * has taken is kept alive by nobody).
 * A message is not handed out again while its delivery is open. The iteration ends by the signal or by throwing;
 * acks still work after that.
 */
export interface Subscription extends AsyncIterable<readonly Delivery[]> {
  /** Why the durable was made again, or put right, for this subscription; for a person. */
  readonly madeAgain: string | undefined;
  /**
   * Of an ordered one: since which time, by number, all that the bus counts as handed out is in hand; undefined while it is
   * not: then nothing may begin. Each time has its own number, and the iteration yields an empty list at its beginning.
   */
  readonly whole: number | undefined;
  /** What keeps it from handing out what waits, as of the last look. */
  obstacle(): Obstacle | undefined;
  /**
   * What left the stream before it was known to be settled; told again until it is accepted. Of the sequences named, those
   * that the filters let through are lost to this durable, but for what was settled since the last look.
   * @throws TransientError while the bus is away, and when the durable is not what it was: then the iteration throws it too
   */
  missed(): Promise<StreamGap | undefined>;
  /** All of its own up to and including this sequence was settled at the last look, by whichever worker; 0 before the first one. */
  settledThrough(): number;
  /** A gap is on record: the subscription goes on behind it. @throws TransientError */
  accept(gap: StreamGap): Promise<void>;
  /** Messages not yet handed out, and handed out but not acked. */
  depth(): Promise<{ readonly pending: number; readonly unacked: number }>;
  /** Its durable is to go: what is open is nobody's any more, and no ack of it is waited for for long. */
  abandon(): void;
}

/** Small state by key, written by revision. Keys: `[A-Za-z0-9_-]` tokens joined by dots. */
export interface StateStore {
  get(key: string): Promise<{ readonly value: unknown; readonly revision: number } | undefined>;
  /** @param revision of the value it replaces, 0 for a new key. Resolves to the new revision, or undefined when it did not match. */
  put(key: string, value: unknown, revision: number): Promise<number | undefined>;
  delete(key: string): Promise<void>;
  /** Keys that begin with the prefix, which ends with a dot; in no order. */
  keys(prefix: string): Promise<readonly string[]>;
}

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
