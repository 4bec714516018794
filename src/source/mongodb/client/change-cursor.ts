// A change stream read by its own commands, so that its events come as raw bytes: a document may own a member that the driver
// takes for a type of its own, and dates may be beyond what JavaScript knows.

import type { BSON, ClientSession, Db, MongoClient } from "mongodb";
import { FieldWalk, Type } from "../values/bson.ts";
import { driver } from "./driver.ts";
import type { Place } from "./position.ts";
import { tokenDocument } from "./resume-token.ts";

/** What a batch is asked to hold: so many events, and fewer where they are large, so that it has about so many bytes. */
const BATCH_EVENTS = 1000;
const BATCH_BYTES = 2 * 1024 * 1024;
/** How long a server is asked to forget a stream: one that is away forgets it by itself. */
const CLOSE_MS = 1_000;

export interface StreamSettings {
  /** One: a stream of that database; several: of the cluster. */
  readonly databases: readonly string[];
  readonly match: BSON.Document;
  readonly before: boolean;
  /** As the server calls it; undefined: what updates carry by themselves. */
  readonly fullDocument: "updateLookup" | "whenAvailable" | undefined;
  /** Whether events come without documents and without what an update has set. */
  readonly bare?: boolean;
  /** Whether each answer is to hold one event. */
  readonly oneByOne?: boolean;
}

export interface Batch {
  /** Raw change events. */
  readonly events: readonly Buffer[];
  /** Raw; behind all of them. */
  readonly token: Buffer | undefined;
  /** As much as was asked for: most likely there is more behind it. */
  readonly full: boolean;
  /** The stream ended, as behind an invalidate: a new one goes on behind its last token. */
  readonly ended: boolean;
}

export class ChangeCursor {
  readonly #db: Db;
  readonly #session: ClientSession;
  readonly #settings: StreamSettings;
  readonly #signal: AbortSignal | undefined;
  #id = driver().Long.ZERO;
  #batchEvents: number;

  /** @param signal ends what is waited for */
  constructor(client: MongoClient, settings: StreamSettings, signal?: AbortSignal) {
    this.#signal = signal;
    const [only, second] = settings.databases;
    this.#db = client.db(second === undefined ? only : "admin");
    this.#session = client.startSession();
    this.#settings = settings;
    this.#batchEvents = settings.oneByOne ? 1 : BATCH_EVENTS;
  }

  /** Opens the stream behind a place. @throws what the driver throws */
  async open(from: Place): Promise<Batch> {
    const { databases, match, before, fullDocument, bare } = this.#settings;
    const { t, i } = from.time;
    const $changeStream = {
      showExpandedEvents: true,
      ...(databases.length > 1 ? { allChangesForCluster: true } : {}),
      ...(fullDocument === undefined ? {} : { fullDocument }),
      ...(before ? { fullDocumentBeforeChange: "whenAvailable" } : {}),
      ...(from.token === undefined
        ? { startAtOperationTime: new (driver().Timestamp)({ t, i }) }
        : { startAfter: tokenDocument(from.token) }),
    };
    return this.#run(
      {
        aggregate: 1,
        pipeline: [
          { $changeStream },
          { $match: match },
          ...(bare ? [{ $project: { fullDocument: 0, updateDescription: 0 } }] : []),
          { $changeStreamSplitLargeEvent: {} },
        ],
        cursor: { batchSize: this.#batchEvents },
        comment: "millrace",
      },
      "firstBatch",
    );
  }

  /** What comes next; empty when nothing came within that time. @throws what the driver throws */
  async next(waitMs: number): Promise<Batch> {
    const batchSize = this.#batchEvents;
    const getMore = { getMore: this.#id, collection: "$cmd.aggregate", batchSize, maxTimeMS: waitMs };
    return this.#run(getMore, "nextBatch");
  }

  async close(): Promise<void> {
    const id = this.#id;
    this.#id = driver().Long.ZERO;
    try {
      if (!id.isZero())
        await this.#db.command(
          { killCursors: "$cmd.aggregate", cursors: [id] },
          { session: this.#session, timeoutMS: CLOSE_MS },
        );
    } catch {
      // It ends by itself when its session does.
    }
    await this.#session.endSession();
  }

  async #run(command: BSON.Document, batch: "firstBatch" | "nextBatch"): Promise<Batch> {
    const asked = this.#batchEvents;
    const signal = this.#signal && { signal: this.#signal };
    const reply = await this.#db.command(command, { raw: true, session: this.#session, ...signal });
    const cursor = reply.cursor as Buffer;
    const events: Buffer[] = [];
    let token: Buffer | undefined;
    for (const walk = new FieldWalk(cursor); walk.next(); ) {
      const { name, type, from, to } = walk;
      if (name === "id") this.#id = driver().Long.fromBigInt(cursor.readBigInt64LE(from));
      else if (name === "postBatchResumeToken" && type === Type.document) token = cursor.subarray(from, to);
      else if (name === batch)
        for (const event = new FieldWalk(cursor, from, to); event.next(); )
          events.push(cursor.subarray(event.from, event.to));
    }
    if (events.length > 0 && !this.#settings.oneByOne) {
      const fitting = Math.floor((BATCH_BYTES * events.length) / cursor.length);
      this.#batchEvents = Math.min(BATCH_EVENTS, Math.max(1, fitting));
    }
    return { events, token, full: events.length >= asked, ended: this.#id.isZero() };
  }
}

/**
 * What the server leaves out: documents' events of other collections. All other kinds come, whatever they are about.
 * @param included conditions on a collection's name, one of which must hold
 * @param excluded none of which may
 * @param outbox of which inserts alone come
 */
export function matchOf(
  databases: readonly string[],
  included: readonly object[],
  excluded: readonly object[],
  outbox?: string,
): BSON.Document {
  const within = databases.length > 1 ? [{ "ns.db": { $in: databases } }] : [];
  const ours = [
    { $or: included },
    ...(excluded.length === 0 ? [] : [{ $nor: excluded }]),
    ...(outbox === undefined ? [] : [{ "ns.coll": { $ne: outbox } }]),
    ...within,
  ];
  const inserted = [{ operationType: "insert" }, { "ns.coll": outbox }, ...within];
  return {
    $or: [
      { operationType: { $nin: ["insert", "update", "replace", "delete"] } },
      { $and: ours },
      ...(outbox === undefined ? [] : [{ $and: inserted }]),
    ],
  };
}
