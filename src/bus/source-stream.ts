// The contract of one source's stream: its fenced writer, how far the source is and what is saved of that, what is asked of the
// stream.

import type { CollectionName } from "../event/collection-name.ts";
import type { StreamMessage } from "../event/message.ts";
import type { Place, Positions } from "../event/positions.ts";
import type { CopiedRow, SourceEvent } from "../event/source-event.ts";
import type { Op } from "../event/subject.ts";
import type { GapData } from "../event/system-event.ts";

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
