// What only some kinds of source can do. Each is an optional member of a `Connector`: a command asks for the one it needs,
// and says of a source whose kind lacks it which kinds have it. (`SideProducer` is one of a running `Source`.)

import type { CollectionName } from "../event/collection-name.ts";
import type { Positions } from "../event/positions.ts";
import type { CollectionVersion, CopiedRow } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Op } from "../event/subject.ts";

/** For `millrace source remove`: what a source keeps in its database, shown and taken away. */
export interface Removal<Config> {
  /**
   * The parts that there may be, by the connector's names; the first is the one that a worker cannot go on without. None where a
   * kind keeps nothing in its database.
   */
  readonly parts: readonly string[];
  /** Looks, and changes nothing. @throws ConfigError, TransientError */
  find(id: SourceId, config: Config): Promise<Leftovers>;
}

/** What was found of a source in its database. */
export interface Leftovers {
  /** For a person, a line each: what would be taken away, what is lost by that, and what would stay. */
  readonly lines: readonly string[];
  /** The same for `--json`: each part of `Removal.parts`, null where there is none. */
  readonly report: Readonly<Record<string, unknown>>;
  /**
   * Takes away what was found and is the source's own.
   * @throws TransientError while a worker still reads by it, and then nothing was taken away; ConfigError where the role may not
   */
  remove(): Promise<void>;
}

/** For `millrace sql` and `millrace init`: what somebody with more rights than the worker runs in the database. */
export interface SetupText<Config> {
  /** What a line begins with that is for the reader alone. */
  readonly comment: "--" | "//" | "#";
  /** Where it is run: "in the database of the source's url". */
  readonly place: string;
  /** By the word that `millrace sql` takes. */
  readonly subjects: Readonly<Record<string, SetupSubject<Config>>>;
  /**
   * What a first source needs of a database that is there. Asks it, as whoever may change it, and changes nothing.
   * @throws ConfigError where no collection is found, or it cannot be asked; TransientError
   */
  first(id: SourceId, config: Config): Promise<FirstSetup>;
  /** The same for a database that is not there yet, with one collection. */
  example(id: SourceId, config: Config, collection: CollectionName): readonly string[];
}

/** One thing that is to be set up. At least one of `common` and `lines` is there. */
export interface SetupSubject<Config> {
  /** Who runs it: "an administrator". */
  readonly runBy: string;
  /** What is the same for all sources of this kind. */
  readonly common?: () => readonly string[];
  /** What one source needs, in its own database; may ask it, and changes nothing. @throws ConfigError, TransientError */
  readonly lines?: (id: SourceId, config: Config) => Promise<readonly string[]>;
}

export interface FirstSetup {
  /** One that can be read as it is, where there is such a one. */
  readonly collection: CollectionName;
  /** The name that the worker shall come by. */
  readonly user: string;
  readonly lines: readonly string[];
}

/** For how long, and until when, a snapshot of keys may wait for the stream. */
export interface SnapshotOptions {
  /** Up to where the stream holds all; undefined: nothing yet. */
  readonly stored: () => Promise<Positions | undefined>;
  readonly reachWithinMs: number;
  /** Called again and again with for how long it has waited for the stream. */
  readonly onWaiting: (waitedMs: number) => void;
  readonly signal: AbortSignal;
}

/** The keys of one collection in a snapshot. */
export interface TableKeys {
  readonly namespace: string;
  readonly collection: string;
  /** In bounded lists; undefined for a collection without a key. One collection at a time. @throws ConfigError, TransientError */
  readonly keys: (() => AsyncIterable<readonly HeldKey[]>) | undefined;
}

export interface HeldKey {
  /** As `ce-subject` has it behind the slash. */
  readonly key: string;
  /** The transaction that wrote the row last, for `isAfter`; of a nested one its own. */
  readonly writtenBy: string;
}

/** A change as the stream has it. */
export interface StreamedChange {
  /** `Cdc-Pos` */
  readonly position: string;
  /** `Cdc-Tx` */
  readonly transaction: string;
}

/** What the database held at one moment that the stream has reached. */
export interface KeySnapshot extends AsyncDisposable {
  /** Whether the change was there at that moment. A connector goes by the transaction or by the position. */
  includes(change: StreamedChange): boolean;
  /** Whether the first transaction began after the other. */
  isAfter(transaction: string, other: string): boolean;
  /** Whether the rows that such a gap took were written after what stands before it, by `isAfter`. */
  isDated(gap: { readonly code: unknown }): boolean;
  readonly tables: readonly TableKeys[];
}

/** Where an outbox is. */
export interface OutboxHome {
  /** The same text for the same database, whichever source and whichever address it is reached by. */
  readonly database: string;
  /** Whether events that are written as messages are read, and not only rows. */
  readonly messages: boolean;
}

/** A collection that a source reads. */
export interface ReadCollection {
  readonly namespace: string;
  readonly name: string;
  /** Those that its events may have; undefined where that can be any. */
  readonly columns?: readonly string[];
}

/** Of which changes an automation reads which images. */
export interface ImagesOf {
  readonly namespace: string;
  readonly name: string;
  /** Undefined for all. */
  readonly op?: Op | undefined;
  readonly images: readonly ("before" | "after")[];
}

/** What of a row such changes carry, as their log is set up now. */
export interface CarriedImages {
  readonly images: readonly ("before" | "after")[];
  /** Those that `before` has, where it is not the whole row. */
  readonly beforeColumns?: readonly string[];
  /** Whether an update says which columns changed also without a row before. */
  readonly tellsChanged?: true;
  /** Why no others: "its stream is KEYS_ONLY". */
  readonly why: string;
  /** What makes it carry all: as `Finding` has it. */
  readonly fix: string;
}

/** A column whose values are objects with names of the database's own, or hold such. */
export interface StructuredColumn {
  readonly name: string;
  /** As the database writes it. */
  readonly type: string;
}

/**
 * Hands out rows that stand beside the log's events: a backfill, which copies rows that existed before. One a source runs while
 * the source is read.
 */
export interface SideProducer {
  /**
   * Pull-driven: the next batch is asked for when the one before is stored. Waits where it has nothing; ends by the signal, or
   * by throwing, which ends the reading of the log too: a copy that cannot go on by itself waits and says so.
   * @param after the progress of the newest batch in the stream; undefined where there is none
   */
  read(options: {
    readonly after: Readonly<Record<string, unknown>> | undefined;
    readonly signal: AbortSignal;
  }): AsyncIterable<CopyBatch>;
}

/** Rows that become one atomic batch of the stream, between two transactions, with how far the producer is behind them. */
export interface CopyBatch {
  /** Where in the log the rows were seen: they stand only where the stream holds all up to here, in each partition named. */
  readonly notBefore: Positions;
  /**
   * At most 999, with 4 MiB as messages, each of which fits a message; none to say the progress alone. Asked without a pause
   * before they are sent, perhaps again: a row of which an event behind `notBefore` has been handed out by `Source.read` must
   * be left out by then, for that event may stand before them.
   */
  rows(): readonly CopiedRow[];
  /** JSON, small: where to go on behind what `rows` has given last. Read directly behind it. */
  readonly progress: Readonly<Record<string, unknown>>;
  /** What the rows are of: the stream's readers can look it up before the rows are sent. */
  readonly version?: CollectionVersion | undefined;
}

/** A collection that can be copied. */
export interface CopyTarget {
  /** As `CollectionSchema.id` of its events. */
  readonly id: string;
  readonly namespace: string;
  readonly collection: string;
}

/** Collections that are to be copied once. */
export interface InitialTargets {
  /** The database that their ids are of; undefined where no two databases have ids in common. */
  readonly origin: string | undefined;
  readonly targets: readonly CopyTarget[];
}

export interface SliceRequest {
  readonly target: CopyTarget;
  /** What a slice before said of its last row that was stored; undefined: from the first row on. */
  readonly after: Readonly<Record<string, unknown>> | undefined;
  /**
   * Only the rows with these keys (as changes have them), in their order, of those that no slice behind `after` comes by; without
   * `after` wherever they are.
   * Asked only of a collection of which a slice said `readsKeys`. Where that is no longer so: no rows, and it says that no more.
   */
  readonly keys?: readonly string[] | undefined;
  readonly maxRows: number;
  /** Of the rows' bodies: the slice ends with the first row that reaches it. */
  readonly maxBytes: number;
  /** The number of the copy. */
  readonly backfill: number;
  readonly signal: AbortSignal;
}

/** Rows of one collection as they were at one moment, in the order of their keys. */
export interface Slice {
  readonly rows: readonly CopiedRow[];
  /** JSON, small: where to go on behind the row with this index. */
  after(index: number): Readonly<Record<string, unknown>>;
  /** The same behind all that was looked at, where of that nothing is in `rows`, though something is behind it. */
  readonly passed?: Readonly<Record<string, unknown>> | undefined;
  /** Whether no row was behind them. */
  readonly isLast: boolean;
  /**
   * Of a collection without a key: all slices of it are of this one moment. Where it is another one than that of the slice before, all
   * rows come again, and this slice has none: whoever reads the stream hears of the moment first.
   */
  readonly asOf?: { readonly snapshot: string; readonly time: string } | undefined;
  /**
   * True where `SliceRequest.after` says nothing of the collection any more, whose key is another one by now, or is sorted otherwise:
   * no rows, and all of the collection is to be read again.
   */
  readonly isVoid?: boolean;
  /** Undefined where the kind of source describes no collections. */
  readonly version: CollectionVersion | undefined;
  /** Whether `SliceRequest.keys` can be asked of its collection. Of no concern where each change carries the whole row. */
  readonly readsKeys?: boolean | undefined;
  /** All that the moment shows is in the log up to here. */
  readonly notBefore: Positions;
  /** Whether the moment shows what the change did. */
  includes(change: StreamedChange): boolean;
}

/**
 * What a kind of source owes a backfill: slices of its collections, each of one moment, one read at a time. They end, however fast
 * rows come with growing keys: what comes behind the largest key that the first slice's moment showed comes by events alone.
 */
export interface RowCopier {
  /**
   * Whether a slice may be asked for behind one of which nothing is stored yet, perhaps in vain. Absent of a kind that goes by what
   * is stored.
   */
  readonly readsAhead?: boolean;
  /** What can be copied now, sorted by `namespace` and `collection`. @throws TransientError */
  targets(): Promise<readonly CopyTarget[]>;
  /**
   * Those that the configuration wants to be copied once, whenever the source first reads them. Absent where it wants none.
   * @throws TransientError
   */
  initial?(): Promise<InitialTargets>;
  /** About how many rows a collection holds, by what its database has counted anyway; undefined where that is nothing. @throws TransientError */
  estimate?(target: CopyTarget): Promise<number | undefined>;
  /**
   * Reads the next rows. Of all changes that `Source.read` has handed out before it was called, also to a worker before, the moment
   * of the slice includes those of the collection; what was handed out since is for the caller to hold against `includes`.
   * @throws ConfigError for what a person has to change first; TransientError while it cannot be read, or it cannot be told what
   * the moment includes: both may be asked again
   */
  readSlice(request: SliceRequest): Promise<Slice>;
  /** Nothing is copied for now, or it rests: what is held of the database for a copy is given back. Never rejects. */
  rest?(): Promise<void>;
}
