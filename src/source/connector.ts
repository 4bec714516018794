// What a kind of database owes the worker beside its source: how its options are read, checked and described.

import type { CollectionSchema } from "../event/collection-schema.ts";
import type { Positions } from "../event/positions.ts";
import type { SourceId } from "../event/source-id.ts";
import type { Finding } from "../telemetry/finding.ts";
import type {
  CarriedImages,
  ImagesOf,
  KeySnapshot,
  OutboxHome,
  ReadCollection,
  Removal,
  SetupText,
  SnapshotOptions,
  StructuredColumn,
} from "./capabilities.ts";
import type { RetentionProbe } from "./retention.ts";
import type { OnGap, Source, SourceContext, ToldSchemas } from "./source.ts";

/** What a check goes by. */
export interface CheckContext<Config> {
  /** What the source has in its memory; "unknown" while the bus cannot be asked. */
  readonly saved: Readonly<Record<string, unknown>> | undefined | "unknown";
  /** Up to where its stream holds all; absent where that is nothing yet, or not known. */
  readonly stored?: Positions | undefined;
  /** `namespace.collection`, by id, of what was copied once as the configuration asks; absent where that is not known. */
  readonly copied?: Readonly<Record<string, string>> | undefined;
  /** The other configured sources of its kind: what is theirs is nobody's left-over. */
  readonly others: ReadonlyMap<SourceId, Config>;
  readonly signal: AbortSignal;
}

/** What a probe of the log's retention may go by. */
export interface WatchContext {
  /** What the source has in its memory; undefined before its first start. May reject, or never answer, while the bus is away. */
  saved(): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** Whether each look is to be complete, for a command; a guard looks again soon, and may leave something for then. */
  readonly complete?: boolean;
}

export interface Connector<Config> {
  readonly kind: string;
  /** @throws ConfigError with the path of the bad value */
  parse(input: unknown, path: string): Config;
  /**
   * Asks what can be asked without changing anything, and without the lease: another worker may be at the source.
   * @throws ConfigError for a set-up that `open` would refuse at a first start; TransientError
   */
  preflight(id: SourceId, config: Config, context: SourceContext): Promise<void>;
  /**
   * Whether a source's memory is about the database of this configuration. Asks nothing else, and changes nothing.
   * @param saved what some worker has saved for the source
   * @throws HistoryLostError, ConfigError when it is about another one; TransientError while the database cannot be asked
   */
  recognise(id: SourceId, config: Config, saved: Readonly<Record<string, unknown>>): Promise<void>;
  /**
   * `millrace check`: every precondition, with what mends it. Needs no more than the worker's own role, and changes nothing.
   * What is wrong is a finding, not an error.
   */
  check(id: SourceId, config: Config, context: CheckContext<Config>): AsyncIterable<Finding>;
  /** What it reads now. @throws ConfigError, TransientError */
  collections(id: SourceId, config: Config): Promise<readonly ReadCollection[]>;
  /** The source's option: what to do when the log no longer holds what comes next. */
  onGap(config: Config): OnGap;
  /** For the guard; asks nothing yet. */
  watch(id: SourceId, config: Config, context: WatchContext): RetentionProbe;
  /**
   * Behind a `preflight` of the same attempt, and under the lease, for which it may have waited long: judges again what may have
   * changed since and what it builds on, and changes nothing before that holds.
   */
  open(id: SourceId, config: Config, context: SourceContext, schemas: ToldSchemas): Promise<Source>;

  // The capabilities: what not every kind has.

  /** For `millrace backfill`: its sources copy rows that existed before. */
  readonly copiesRows?: true;

  readonly remove?: Removal<Config>;
  readonly setupText?: SetupText<Config>;
  /**
   * For `millrace types`: the collections that it reads, as the database has them now and as their events would look.
   * @throws ConfigError, TransientError
   */
  describeCollections?(id: SourceId, config: Config): Promise<readonly CollectionSchema[]>;
  /**
   * For `millrace verify --tables`: the keys that the database holds now, once the stream holds what they come from.
   * @throws ConfigError where it may not be read; TransientError when the stream does not get here in time
   */
  snapshotKeys?(id: SourceId, config: Config, options: SnapshotOptions): Promise<KeySnapshot>;
  /**
   * Undefined when this source holds no outbox; else it resolves to the database whose outbox that is, or rejects with
   * TransientError while that cannot be asked.
   */
  outboxHome?(id: SourceId, config: Config): (() => Promise<OutboxHome>) | undefined;
  /**
   * For automations that read images: what those of one collection's changes are; undefined where it is not there, or not read, or
   * where that need not be asked, for they are always there.
   * @throws ConfigError, TransientError
   */
  carriedImages?(id: SourceId, config: Config, of: ImagesOf): Promise<CarriedImages | undefined>;
  /**
   * For automations that are typed by the application's own model of a table: of one collection as it is delivered now; none
   * of one that is not there, or not read.
   * @throws ConfigError, TransientError
   */
  structuredColumns?(
    id: SourceId,
    config: Config,
    collection: { readonly namespace: string; readonly name: string },
  ): Promise<readonly StructuredColumn[]>;
}
