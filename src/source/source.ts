// The contract of a source: what the worker needs to know of any database, and nothing more. What only some kinds can do
// is in capabilities.ts.

import type { HistoryLostError, PoisonError } from "../errors.ts";
import type { CollectionSchema } from "../event/collection-schema.ts";
import type { Position } from "../event/position.ts";
import type { Place, Positions } from "../event/positions.ts";
import type { CollectionVersion, SourceEvent, Transaction } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";

import type { Logger } from "../telemetry/logger.ts";
import type { RowCopier } from "./capabilities.ts";

/**
 * A place that may become a checkpoint though no message of the stream stands there: a transaction without events,
 * or an idle heartbeat. Its position ends in `+`. (A message whose position ends in `+` is such a place by itself.)
 */
export interface Commit extends Place {
  readonly type: "commit";
}

/**
 * A partition is over, with its last place: nothing of it comes any more, at no later reading either, though `from` does not name
 * it. Handed out once that place was acknowledged and the source has on record that it is over, and again at a reading whose
 * `from` still has it. From then on the worker keeps no place of it.
 */
export interface Ended extends Place {
  readonly type: "ended";
  readonly partition: string;
}

/** A row that can never be decoded. The worker dead-letters it and puts a marker in its place. */
export interface Poison extends Place {
  readonly type: "poison";
  /** Undefined for what stands outside of all. */
  readonly transaction: Transaction | undefined;
  readonly namespace: string;
  readonly collection: string;
  /** The first 64 KiB of it, as they came; none of a table whose columns are hidden. */
  readonly raw: Uint8Array;
  /** The size of the whole row. */
  readonly sizeBytes: number;
  /** The digest of the whole row; undefined for a table whose columns are hidden. */
  readonly sha256: string | undefined;
  readonly error: PoisonError;
}

/**
 * Events that follow are of this version of a collection. It stands before the first of them, in their transaction, and is
 * handed out whenever the database has described the collection, whether it changed or not: the worker knows what the stream
 * was told of.
 */
export interface Description {
  readonly type: "described";
  readonly version: CollectionVersion;
  readonly transaction: Transaction;
  /**
   * Where the stream is told of it, between the message before and the event behind; the same whenever the log is read, and
   * no other position depends on it. Undefined where there is no such place: then it is handed out again before a later event.
   */
  readonly position: Position | undefined;
  readonly partition?: string | undefined;
}

/** The log begins here. Handed out before all else of its partition at each reading: the worker knows what the stream has. */
export interface Began extends Place {
  readonly type: "began";
  /** What its marker says, by the names that the kind of source has for it. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Only of one that a reading begins with: nothing waits before it then, and its two markers are stored together. */
  readonly lost?: LostBefore | undefined;
}

/** Why nothing between the stream's end and a beginning can ever come. */
export interface LostBefore {
  readonly code: string;
  readonly reason: string;
  /** For the gap's marker, like those of the beginning. */
  readonly details: Readonly<Record<string, unknown>>;
  /** `namespace.collection` of all that it is about; undefined: all that the source reads. */
  readonly collections?: readonly string[];
  /** What the stream has behind here is of commits that the database no longer has. */
  readonly goneBehind?: Position | undefined;
}

/**
 * What can never come of some collections, while the log goes on. It is on the source's record first; each reading then
 * hands out all that `recorded` has not named, oldest first, at a place between two transactions.
 */
export interface Lost extends Place {
  readonly type: "lost";
  /** Made by `newLostId`, and on record: its marker's. */
  readonly id: string;
  readonly code: string;
  readonly reason: string;
  readonly collections: readonly string[];
  /** Where the log ended when it was found. */
  readonly upTo: Position;
}

export type SourceMessage = SourceEvent | Commit | Ended | Poison | Description | Began | Lost;

/** Where a source keeps what it must not forget (its slot's name and identity); fenced by the lease. */
export interface ConnectorState {
  load(): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** Resolves when it is stored; rejects with FencedError when the lease is another's. */
  save(value: Readonly<Record<string, unknown>>): Promise<void>;
}

/** What the stream was told of collections, across restarts. */
export interface ToldSchemas {
  /** The version of a collection that the stream was told of last, all that was handed out before included. @throws TransientError */
  newest(id: string): Promise<CollectionSchema | undefined>;
}

/**
 * What may be accepted. `gap`: the log no longer holds what comes next. `foreign`: what is there is not on record as the source's
 * own, such as another database, or a slot that somebody made.
 */
export type Loss = "gap" | "foreign";

/** What is done about one: `backfill` goes on as `continue`, and orders a copy of what the gap covers. */
export type OnGap = "stop" | "continue" | "backfill";

/** What a source tells of its reading as a number. */
export type SourceCount = "lookupsEmpty" | "imagesMissing" | "requests" | "throttled" | "iteratorsExpired";

export interface SourceContext {
  readonly memory: ConnectorState;
  readonly log: Logger;
  /** The key that lineage is sealed with. @throws TransientError while it cannot be had */
  lineageKey(): Promise<string>;
  /** Whether to go on behind a loss, and record the gap: the worker's to decide. */
  accepts(loss: Loss | HistoryLostError): boolean;
  /** One was accepted and is on record: what held for one alone holds no more. */
  onAccepted(): void;
  /** One more of these, for metrics and status. */
  count(what: SourceCount): void;
}

/** How far the database's log is ahead, as it was asked last. Each number alone can look fine while another does not. */
export interface SourceLag {
  /** Bytes of log that the database has written and not yet read for this source; undefined while it does not say. */
  readonly unsentBytes: number | undefined;
  /** Bytes of log between what was acknowledged and the log's end. */
  readonly unconfirmedBytes: number;
  /** What the log had reached before now: once it is read, the source had caught up then. */
  readonly end: Positions;
}

/** A mark in the database's log that is no event: how long it takes to come back is what a change would take. */
export interface SourceHeartbeat {
  /** Sends one, unless one is under way; called at regular times. That it may not is told once, and is no error. */
  send(): Promise<void>;
  /** How long the newest one took, or waits by now; undefined while there was none. */
  seconds(): number | undefined;
}

/** What a person should know of a source that runs: never row data. */
export interface Notice {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** `waiting`: for others to be read first; `gap`: something of it can never come. One with a gap counts once more as what it is. */
export type PartitionCounts = Readonly<Record<"reading" | "waiting" | "done" | "gap", number>>;

export interface Source extends AsyncDisposable {
  readonly id: SourceId;
  /**
   * The log from behind `from` on, in commit order, as bounded chunks; undefined means the very first start. Where it has
   * partitions each of them has its own order, a position is never the same text in two of them, and a transaction is handed
   * out without another partition's messages between its own; what is inside of one at the start goes on first.
   * Pull-driven: whoever pulls slowly slows the reader. Ends by throwing or by the signal, never by itself;
   * does not reconnect.
   * @param onStarted called whenever the database has agreed to send: again where a log is opened again within one reading
   * @throws TransientError, HistoryLostError, ConfigError, FencedError
   */
  read(options: {
    readonly from: Positions | undefined;
    readonly signal: AbortSignal;
    readonly onStarted?: () => void;
  }): AsyncIterable<readonly SourceMessage[]>;
  /** Lets the database drop its log up to and including here, in each partition. Idempotent; called only after the save. */
  acknowledge(positions: Positions): Promise<void>;
  /** The stream holds for certain what was `lost`, up to and with this one. Called before `acknowledge`. @throws TransientError, FencedError */
  recorded?(id: string): Promise<void>;
  /**
   * Called when `read` has thrown a loss that is accepted: puts on record that this history is over, and why; the next `open`
   * begins another. @throws TransientError, FencedError; the loss itself where it cannot
   */
  giveUp?(lost: HistoryLostError): Promise<void>;
  /** Asks how far the log is ahead, and changes nothing. @throws HistoryLostError, TransientError while it cannot be had */
  lag(signal: AbortSignal): Promise<SourceLag>;
  /**
   * Looks whether the stream moves though the log does; called at regular times, after `lag`. One that stood still at two
   * looks in a row ends the reading with a TransientError SOURCE_STUCK. Absent where a kind cannot stand still unnoticed.
   * @throws TransientError while the database cannot be asked
   */
  checkProgress?(): Promise<void>;
  /** Absent where nothing can be sent through the log. */
  readonly heartbeat?: SourceHeartbeat;
  /** Reads rows that existed before, for a backfill beside the log. Absent where a kind cannot. */
  readonly copier?: RowCopier;
  /** What it goes on without, such as a table that cannot be published. */
  notices(): readonly Notice[];
  /** How many partitions its log has, by what is done with them. Absent where a kind has none. */
  partitions?(): PartitionCounts;
  /** What a person should see of its reading that is no number of every kind, such as what its requests come to; undefined before that is known. */
  summary?(): string | undefined;
}
