// A change as a subscriber sees it: the body of the message together with what its headers say.

import type { Lineage } from "./lineage.ts";
import type { Op } from "./subject.ts";
import type { TransactionMark } from "./transaction-mark.ts";

type Json = Readonly<Record<string, unknown>>;

/** What MongoDB says of an update; values as in the document. */
export interface UpdateDescription {
  readonly updatedFields?: Json;
  readonly removedFields?: readonly string[];
  /** Each with `field` and `newSize`. */
  readonly truncatedArrays?: readonly Json[];
  /** Paths that could be read in two ways, as lists of their steps. */
  readonly disambiguatedPaths?: Json;
}

/** The JSON body of a `cdc.…` message. */
export interface ChangeBody<Row = Json, Key = Json | null> {
  readonly op: Op;
  /** The identity columns, a document's `_id`; null for `truncated` and for collections without a key. */
  readonly key: Key;
  /** The row before, or the part of it that the log carries; null when it carries none. */
  readonly before: Partial<Row> | null;
  readonly after: Row | null;
  /** Columns whose value differs; only present when the log tells. */
  readonly changed?: readonly string[];
  /** Columns that the log left out (unchanged TOAST) and nobody filled in; they are absent from `after`. */
  readonly unchanged?: readonly string[];
  /** Columns that the log left out and the database was asked for: as they were at this LSN at the latest, or earlier. */
  readonly enriched?: { readonly columns: readonly string[]; readonly asOfLsn: string };
  /** MongoDB: the document was replaced as a whole. */
  readonly replaced?: true;
  /** MongoDB: the document before was asked for, and is not there. */
  readonly beforeMissing?: true;
  /** MongoDB: the document after was asked for, and is not there: it is gone by now, or was not stored. */
  readonly afterMissing?: true;
  /** MongoDB: `after` is the document as it was when the event was read, this change's or a later one's. */
  readonly asOf?: "lookup";
  /** MongoDB: what an update did, by the paths of fields, as the server tells it. */
  readonly update?: UpdateDescription;
  /** MongoDB: the rest of a sharded document's key. */
  readonly shardKey?: Json;
  /** DynamoDB: the server deleted the item, because its time was over. */
  readonly reason?: "ttl";
  /** On the `deleted` half of a changed key: the new key. */
  readonly movedTo?: NonNullable<Key>;
  /** On the `created` half of a changed key: the old key. */
  readonly movedFrom?: NonNullable<Key>;
}

/** A change with its envelope. */
export interface ChangeEvent<Row = Json, Key = Json | null> extends ChangeBody<Row, Key> {
  /** `ce-id`: the same change always has the same id, and ids sort like the log. */
  readonly id: string;
  /** `ce-type`: `<source>.<namespace>.<collection>.<op>`. */
  readonly type: string;
  readonly source: string;
  readonly namespace: string;
  readonly collection: string;
  /** Commit time, RFC 3339 in UTC, microseconds. */
  readonly time: string;
  readonly position: string;
  /** Absent where its database groups nothing: the change stands by itself. */
  readonly transaction?: TransactionMark;
  /** Its sequence in the stream. */
  readonly sequence: number;
  /** What caused the transaction, where a handler's `tx` wrote it. */
  readonly lineage?: Lineage;
}
