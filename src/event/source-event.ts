// What a connector hands out: facts about one change, event or marker, without a word of how the bus carries them.

import { randomUUID } from "node:crypto";
import type { CollectionSchema } from "./collection-schema.ts";
import type { CarriedLineage } from "./lineage.ts";
import { bare, type Position } from "./position.ts";
import type { Place } from "./positions.ts";
import type { SourceId } from "./source-id.ts";
import type { MetaKind, Op } from "./subject.ts";

/** What every event of one transaction says of it. One object for all of them. */
export interface Transaction {
  /** Undefined where the database groups nothing: the change stands by itself. */
  readonly id: string | undefined;
  /** Commit time, RFC 3339 in UTC, microseconds. */
  readonly time: string;
  /** What caused it; undefined when nobody said. */
  readonly lineage: CarriedLineage | undefined;
}

/** One description of a collection. One object for all events that are of it. */
export interface CollectionVersion {
  readonly schema: CollectionSchema;
  /** `ce-dataschema`: given by the worker as soon as the description is handed out, before any event of it. */
  uri: string | undefined;
}

/** What all rows of one version of a collection and one op share. One object for all of them. */
export interface ChangeKind {
  readonly namespace: string;
  readonly collection: string;
  readonly op: Op;
  readonly version: CollectionVersion | undefined;
  /** How `ce-type` and `ce-subject` name the collection, where its kind of database has a way of its own. */
  readonly place?: string | undefined;
}

/** Its position is `Cdc-Pos`; with a `+` it is the transaction's last. */
interface Placed extends Place {
  /** Finished JSON text, UTF-8. */
  readonly data: Uint8Array;
}

/** A row's change. */
export interface Change extends Placed {
  readonly type: "change";
  readonly kind: ChangeKind;
  readonly lane: string;
  /** The key's values, percent-encoded, joined by commas: `ce-subject` has them behind the slash. */
  readonly key: string;
  /** Undefined: `<source>.<position>`. */
  readonly id?: string | undefined;
  readonly transaction: Transaction;
}

/** What the application put into its outbox. */
export interface Domain extends Placed {
  readonly type: "domain";
  readonly id: string;
  readonly aggregate: string;
  readonly name: string;
  readonly key: string;
  readonly lane: string;
  /** The application's own; names that may be used, see `headerFault`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly transaction: Transaction;
}

/** A message about the source, at its place in the order. */
export interface Marker extends Placed {
  readonly type: "marker";
  /** `message`: a logical message of the application's, by its `prefix`. */
  readonly kind: MetaKind | { readonly prefix: string };
  readonly id: string;
  /** Undefined outside of all transactions. */
  readonly transaction: Transaction | undefined;
  /** RFC 3339; undefined: its transaction's, or now. */
  readonly time?: string | undefined;
}

export type SourceEvent = Change | Domain | Marker;

/**
 * A row as a copy of its collection has seen it, not a change of it: of no transaction, and without a place of its own. It
 * stands between two transactions of the log, and repeats the place where it stands.
 */
export interface CopiedRow {
  readonly type: "copied";
  /** Its op is `read`; its version, where its kind of database describes collections, one that was handed out. */
  readonly kind: ChangeKind;
  /** The number of the copy, of one source: with the collection's id and the key it makes the row's id. */
  readonly backfill: number;
  /** What the database never gives to another collection. */
  readonly collectionId: string;
  readonly lane: string;
  /** As a change has it; never empty, for ids are told apart by it. */
  readonly key: string;
  /** Of a collection without a key: the key is for its id alone, and its subject has none. */
  readonly unkeyed?: true;
  /** When it was seen, RFC 3339 in UTC, microseconds. */
  readonly time: string;
  /** Finished JSON text, UTF-8. */
  readonly data: Uint8Array;
  /** Of one that may have been read before by the same copy, what tells its ids apart; else undefined. */
  readonly again?: number;
}

/** An event before its place is known. */
export type Unplaced<Event extends SourceEvent> = Omit<Event, "partition" | "position" | "transaction">;

/** A marker outside of all transactions, at its place in the order; its id is `<source>.<kind>.<position>`. */
export function markerAt(source: SourceId, kind: MetaKind, position: Position, body: unknown): Marker {
  const data = Buffer.from(JSON.stringify(body));
  return { type: "marker", kind, id: `${source}.${kind}.${bare(position)}`, transaction: undefined, position, data };
}

/** The id of the marker of what some collections lost. @param upTo where the log ended when it was found */
export function newLostId(source: SourceId, upTo: Position): string {
  return `${source}.gap.${bare(upTo)}.${randomUUID()}`;
}
