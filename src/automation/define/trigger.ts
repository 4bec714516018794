// What starts an automation. Whoever subscribes, delivers and checks knows a trigger by this interface alone, whatever its
// kind: a new kind is a file beside this one, and no change in the rooms that use it.

import type { Columns } from "../../event/column-kind.ts";
import type { StoredMessage } from "../../event/parse-event.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Op } from "../../event/subject.ts";
import type { Finding } from "../../telemetry/finding.ts";
import type { EventShape } from "../pattern/event-shape.ts";
import type { Schedule } from "../schedule/timetable.ts";

/** What all events have, whichever trigger they came by. */
export interface AnyEvent {
  readonly id: string;
}

/** A part of one stream. */
export interface TriggerSubscription {
  /** Whose stream: a source's, or the worker's own (`systemId`). */
  readonly source: SourceId;
  /** Its subjects, all lanes: `cdc.shop.public.orders.created.*`. */
  readonly filter: string;
}

/** What a trigger has to know of the configuration to find its streams. */
export interface TriggerConfig {
  /** Sources that hold an outbox: there domain events come from. */
  readonly outboxes: readonly SourceId[];
  /** Types of domain events that may be posted, `<aggregate>.<name>`: there they come from too. Default: none. */
  readonly posted?: readonly string[];
  /** Who takes webhooks; undefined where that is not known, as in tests. */
  readonly receivers?: readonly string[];
  /** The kinds of what may be sent to, by name; undefined where that is not known, as in tests. */
  readonly endpoints?: ReadonlyMap<string, string>;
}

/** What is known of the configured sources. */
export interface KnownSources {
  readonly all: readonly SourceId[];
  /** What a source reads now; undefined where its database could not be asked, or nobody did. */
  collections(source: SourceId): readonly { readonly namespace: string; readonly name: string }[] | undefined;
}

/** What a trigger is checked against. */
export interface TriggerCheck extends TriggerConfig {
  /** The id of its automation, for the error. */
  readonly automation: string;
  /** Undefined at a start, which asks no database and waits for sources that it does not know. */
  readonly known?: KnownSources;
}

/** A finding about an automation whose trigger may never match. */
export type TriggerWarning = Omit<Finding, "level" | "subject">;

/** A collection as the application's code declares it. */
export interface DeclaredCollection {
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  /** The declared property of each column, by every name that the column may have in the database. */
  readonly properties: ReadonlyMap<string, string>;
}

/** What of a row a change may carry. */
export type Image = "before" | "after";

/** Images of a collection's changes that a handler reads, or a pattern. */
export interface NeededImages {
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  /** Of which changes; undefined for all. */
  readonly op?: Op;
  readonly images: readonly Image[];
  /**
   * Columns of `before` that are read, where not all of them: in lists, of which one is enough. Without it what there is of
   * `before` is.
   */
  readonly columns?: readonly (readonly string[])[];
  /** What columns are called there, by every name that they may have in the database; undefined for these names themselves. */
  readonly properties?: ReadonlyMap<string, string>;
  /** Whether it is enough that the log tells which columns changed. */
  readonly orChanged?: true;
  /** Default: the handler. */
  readonly by?: "where" | "trigger";
}

declare const eventType: unique symbol;

/** Which events start an automation, and what its handler gets of them. */
export interface Trigger<Event = unknown> {
  /**
   * The parts of streams that its events come in. An automation has one durable on each stream, with the filters of all its
   * triggers there.
   */
  subscriptions(config: TriggerConfig): readonly TriggerSubscription[];
  /**
   * The event in a message; undefined where the message is none of this trigger's, for an automation may have others.
   * @throws PoisonError when it is this trigger's and cannot be read
   */
  decode(message: StoredMessage): AnyEvent | undefined;
  /**
   * What a schema of the user's makes of an event that it decoded; undefined where there is none.
   * @throws PoisonError where it does not fit; a promise rejects with it
   */
  fit?(event: AnyEvent): AnyEvent | Promise<AnyEvent>;
  /**
   * Why a schema of the user's refuses data that somebody gives by hand, for that person alone; undefined where there is no schema.
   * @throws what the schema throws
   */
  issues?(data: unknown): Promise<readonly string[]> | undefined;
  /** The same trigger as an automation's own, for one whose subjects have its id. */
  boundTo?(automation: string): Trigger;
  /** The same trigger, which takes copied rows too (op `read`); undefined for one whose events a copied row is like none of. */
  withCopies?(): Trigger | undefined;
  /**
   * Whether an event that it decoded starts the handler; else the event ends as filtered.
   * @param columns what the event's own schema says of its columns; undefined where `asksColumns` is not, or it names none
   * @throws PoisonError
   */
  match(event: AnyEvent, columns?: Columns): boolean;
  /** Whether `match` goes by what the event's own schema says of its columns. */
  readonly asksColumns?: boolean;
  /** Why it may never match. @throws ConfigError when it never can: a start refuses it, with this error */
  check(against: TriggerCheck): readonly TriggerWarning[];
  /** When it is due, of one that the clock starts. */
  readonly schedule?: Schedule;
  /** What is known of the events that it decodes, for patterns over them; undefined where nothing is. */
  readonly shape?: EventShape | undefined;
  /** What `decode` takes rows to be; undefined where it takes them as they come. */
  readonly declared?: DeclaredCollection | undefined;
  /** Without which it never matches, or the handler cannot do its work; undefined where there are none. */
  readonly needs?: readonly NeededImages[] | undefined;
  /** Columns that it compares, where nothing is known of its rows before one has come. */
  readonly compares?: readonly string[];
  /** Only a type: what the handler gets. */
  readonly [eventType]?: Event;
}
