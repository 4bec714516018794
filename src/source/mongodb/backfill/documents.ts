// The documents of a collection in the order of `_id`, as raw bytes, page after page.

import type { BSON, ClientSession, MongoClient } from "mongodb";
import type { CopyTarget } from "../../capabilities.ts";
import { driver } from "../client/driver.ts";
import type { ClusterTime } from "../client/position.ts";
import { FieldWalk } from "../values/bson.ts";

/** The first page tells how large documents are. */
const FIRST_PAGE = 50;
const PAGE = 2000;
const PAGE_BYTES = 2 * 1024 * 1024;
/** Of the server, for all pages of a slice together: a disk that is cold reads thousands of documents one by one. */
const FIND_MS = 120_000;

export interface DocumentsRequest {
  readonly target: CopyTarget;
  /** The server's. */
  readonly filter: BSON.Document;
  /** From the largest `_id` down. */
  readonly down?: boolean;
  readonly limit: number;
  /** Shows all that was committed up to here. */
  readonly since: ClusterTime;
  readonly signal: AbortSignal;
}

export interface Page {
  readonly documents: readonly Buffer[];
  /** Whether nothing comes behind it, be it for the limit. */
  readonly ended: boolean;
}

/** @throws what the driver throws */
export async function* readDocuments(client: MongoClient, request: DocumentsRequest): AsyncGenerator<Page, void> {
  const { target, filter, down = false, limit, since, signal } = request;
  // Without the session's own afterClusterTime: the one that is wanted is named.
  const session = client.startSession({ causalConsistency: false });
  const db = client.db(target.namespace);
  let cursor = driver().Long.ZERO;
  const run = async (command: BSON.Document): Promise<Page> => {
    const reply = await db.command(command, { raw: true, session, signal });
    const answer = answerOf(reply.cursor as Buffer);
    cursor = answer.id;
    return { documents: answer.documents, ended: cursor.isZero() };
  };
  try {
    let asked = Math.min(FIRST_PAGE, limit);
    let page = await run({
      find: target.collection,
      filter,
      ...{ sort: { _id: down ? -1 : 1 }, limit, batchSize: asked, maxTimeMS: FIND_MS, comment: "millrace" },
      readConcern: { level: "majority", afterClusterTime: new (driver().Timestamp)(since) },
    });
    for (;;) {
      yield page;
      if (page.ended) return;
      const bytes = page.documents.reduce((sum, { length }) => sum + length, 1);
      asked = Math.min(PAGE, Math.max(1, Math.floor((PAGE_BYTES * page.documents.length) / bytes)));
      page = await run({ getMore: cursor, collection: target.collection, batchSize: asked });
    }
  } finally {
    await close(client, target, cursor, session);
  }
}

function answerOf(cursor: Buffer): { readonly id: BSON.Long; readonly documents: readonly Buffer[] } {
  let id = driver().Long.ZERO;
  const documents: Buffer[] = [];
  for (const walk = new FieldWalk(cursor); walk.next(); ) {
    const { name, from, to } = walk;
    if (name === "id") id = driver().Long.fromBigInt(cursor.readBigInt64LE(from));
    else if (name === "firstBatch" || name === "nextBatch")
      for (const one = new FieldWalk(cursor, from, to); one.next(); ) documents.push(cursor.subarray(one.from, one.to));
  }
  return { id, documents };
}

/** A server that is away forgets the cursor by itself. */
async function close(
  client: MongoClient,
  { namespace, collection }: CopyTarget,
  cursor: BSON.Long,
  session: ClientSession,
): Promise<void> {
  try {
    if (!cursor.isZero())
      await client.db(namespace).command({ killCursors: collection, cursors: [cursor] }, { session, timeoutMS: 1_000 });
  } catch {
    // It ends with its session.
  }
  await session.endSession();
}
