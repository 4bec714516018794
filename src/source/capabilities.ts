// What only some kinds of source can do. Each is an optional member of a `Connector`: a command asks for the one it needs,
// and says of a source whose kind lacks it which kinds have it.

import type { CollectionName } from "../event/collection-name.ts";
import type { Positions } from "../event/positions.ts";
import type { SourceId } from "../event/source-id.ts";

/** For `millrace source remove`: what a source keeps in its database, shown and taken away. */
export interface Removal<Config> {
  /** The parts that there may be, by the connector's names; the first is the one that a worker cannot go on without. */
  readonly parts: readonly [string, ...string[]];
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
  readonly tables: readonly TableKeys[];
}

/** Where an outbox is. */
export interface OutboxHome {
  /** The same text for the same database, whichever source and whichever address it is reached by. */
  readonly database: string;
  /** Whether events that are written as messages are read, and not only rows. */
  readonly messages: boolean;
}

/** A column whose values are objects with names of the database's own, or hold such. */
export interface StructuredColumn {
  readonly name: string;
  /** As the database writes it. */
  readonly type: string;
}
