// The outbox of a MongoDB: a collection that the application writes in the same transaction as its documents. The driver is known
// by what is asked of it alone: an application without MongoDB has none.

import { ConfigError } from "../errors.ts";
import { type Cause, checkedCause } from "./cause.ts";
import { type Entry, type EventSchemas, MAX_BYTES, namesOf, refuseLarge } from "./entry.ts";
import { refuseUnknownOptions } from "./options.ts";

/** A `ClientSession` of the driver. */
export interface MongoSession {
  inTransaction(): boolean;
}

/** A `Collection` of the driver. */
export interface MongoCollection {
  insertOne(
    document: object,
    options?: { session?: MongoSession },
  ): Promise<{ readonly acknowledged: boolean; readonly insertedId: unknown }>;
}

export interface MongoOutboxOptions<Schemas extends EventSchemas = EventSchemas> {
  /** The one that the source's option `outbox` names, of the session's own client. */
  readonly collection: MongoCollection;
  /** Only these types may be emitted, and their data is checked first. Without it: any type, any data. */
  readonly events?: Schemas;
  /** The largest message that the bus takes, in bytes. Default 1048576, that of nats-server. */
  readonly maxBytes?: number;
  /** What caused it, for whoever follows a chain of events: their ids. */
  readonly lineage?: Cause;
}

const OPTIONS: Readonly<Record<keyof MongoOutboxOptions, true>> = {
  ...{ collection: true, events: true, maxBytes: true, lineage: true },
};

/** Whether it looks like a session of the driver. */
export function isMongoSession(client: object): client is MongoSession {
  return typeof (client as Partial<MongoSession>).inTransaction === "function";
}

/** What inserts events in the session's transaction. @throws ConfigError OUTBOX_SESSION_UNKNOWN, OUTBOX_OPTION_UNKNOWN; PoisonError LINEAGE_MALFORMED */
export function mongoWriter(session: object, options: Partial<MongoOutboxOptions>): (entry: Entry) => Promise<void> {
  refuseUnknownOptions(options, OPTIONS);
  const { collection, maxBytes = MAX_BYTES, lineage } = options;
  if (!isMongoSession(session)) throw unknown("this is no session of MongoDB's driver");
  if (typeof collection?.insertOne !== "function")
    throw unknown("the option collection is no collection of MongoDB's driver");
  const cause = checkedCause(lineage);
  return async (entry) => {
    refuseLarge(entry, maxBytes);
    if (!session.inTransaction()) throw outside(entry.type);
    const { acknowledged, insertedId } = await collection.insertOne(documentOf(entry, cause), { session });
    if (!acknowledged || insertedId !== entry.id) throw notWritten(entry.type);
  };
}

/** The data as JSON text, so that nothing of it is changed on the way: the driver has numbers of its own, and takes a member `_bsontype` for a type. */
function documentOf(entry: Entry, lineage: MongoOutboxOptions["lineage"]): object {
  const { aggregate, name } = namesOf(entry);
  return {
    _id: entry.id,
    aggregatetype: aggregate,
    aggregateid: entry.key,
    type: name,
    payload: entry.data,
    headers: JSON.parse(entry.headers) as unknown,
    ...(lineage && { lineage }),
    created_at: new Date(),
  };
}

function unknown(what: string): ConfigError {
  return new ConfigError("OUTBOX_SESSION_UNKNOWN", what, {
    hint: 'Begin a transaction and pass its session and the collection: outbox(session, { collection: client.db("shop").collection("outbox") }).',
  });
}

function outside(type: string): ConfigError {
  return new ConfigError(
    "OUTBOX_OUTSIDE_TRANSACTION",
    `the session is in no transaction: the event ${type} would commit by itself`,
    { hint: "Call emit() within session.withTransaction(), beside what makes the event true, and await it there." },
  );
}

/** A driver's double, or a collection that was made to write without an answer. */
function notWritten(type: string): ConfigError {
  return new ConfigError("OUTBOX_NOT_WRITTEN", `the driver did not answer that it has written the event ${type}`, {
    hint: "Abort the transaction. Give outbox() a collection of MongoDB's own driver.",
  });
}
