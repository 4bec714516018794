// Entries of the log as events of a change stream, whole or in fragments.

import { BSON } from "mongodb";
import { tooLarge } from "./command-error.ts";
import { type Change, idText, type Oplog } from "./oplog.ts";
import { eventToken } from "./token.ts";
import { documentOf, membersOf } from "./wire.ts";

/** What a client asked a stream to be. */
export interface StreamOptions {
  readonly fullDocument?: string | undefined;
  readonly fullDocumentBeforeChange?: string | undefined;
  readonly showExpandedEvents?: boolean | undefined;
}

export interface MadeEvent {
  readonly token: string;
  readonly bytes: Buffer;
}

const ALWAYS = new Set(["insert", "update", "replace", "delete", "drop", "rename", "dropDatabase", "invalidate"]);

/** Whether a stream shows events of this kind. */
export function isShown({ kind, raw }: Change, { showExpandedEvents }: StreamOptions): boolean {
  return kind !== "noop" && (raw !== undefined || ALWAYS.has(kind) || showExpandedEvents === true);
}

/** An event without its token, as of now: a document that is looked up is newer than its update. */
export function eventOf(change: Change, options: StreamOptions, oplog: Oplog): BSON.Document {
  const { kind, database, collection, key, document, update, session, more, time, wallTime } = change;
  const event: BSON.Document = {
    operationType: kind,
    clusterTime: new BSON.Timestamp(time),
    ...(options.showExpandedEvents === true && collection !== undefined
      ? { collectionUUID: oplog.collection(database, collection)?.uuid }
      : {}),
    wallTime,
    ...(document === undefined ? {} : { fullDocument: document }),
    ...(kind === "update" ? fullDocument(change, options, oplog) : {}),
    ns: collection === undefined ? { db: database } : { db: database, coll: collection },
    ...more,
    ...(key === undefined ? {} : { documentKey: key }),
    ...(update === undefined ? {} : { updateDescription: update }),
    ...(session === undefined ? {} : { lsid: lsidOf(session.id), txnNumber: BSON.Long.fromNumber(session.number) }),
  };
  if (options.fullDocumentBeforeChange !== undefined && key !== undefined && kind !== "insert") {
    event.fullDocumentBeforeChange = change.before ?? null;
  }
  return event;
}

function fullDocument({ database, collection = "", key, after }: Change, asked: StreamOptions, oplog: Oplog) {
  if (asked.fullDocument === "updateLookup") {
    const found = oplog.collection(database, collection)?.documents.get(idText(key?._id));
    return { fullDocument: found ?? null };
  }
  return asked.fullDocument === "whenAvailable" ? { fullDocument: after ?? null } : {};
}

/** What its token holds of its document's key. */
export function keyText({ key }: Change): string {
  return key === undefined ? "" : idText(key._id);
}

function lsidOf(id: BSON.UUID): BSON.Document {
  return { id, uid: new BSON.Binary(Buffer.alloc(32)) };
}

/**
 * An event as one document, or as several where it is too large for one and may be split.
 * @throws CommandError 10334 where it cannot be sent
 */
export function bytesOf(
  change: Change,
  event: BSON.Document,
  { maxBytes, splits, invalidates = false }: { maxBytes: number; splits: boolean; invalidates?: boolean },
): readonly MadeEvent[] {
  const { time, index, raw } = change;
  const make = (members: readonly Buffer[], fragment: number): MadeEvent => {
    const token = eventToken({ time, index, invalidates, fragment, key: keyText(change) });
    return { token, bytes: documentOf(membersOf({ _id: { _data: token } }), ...members) };
  };
  if (raw !== undefined) return [make([raw], 0)];
  const members = Object.entries(event).map(([name, value]) => membersOf({ [name]: value }));
  const whole = make(members, 0);
  if (whole.bytes.length <= maxBytes) return [whole];
  if (!splits) throw tooLarge(whole.bytes.length);
  const parts: Buffer[][] = [];
  let room = 0;
  // The small members first, as a server does it.
  for (const member of members.toSorted((a, b) => a.length - b.length)) {
    if (member.length > maxBytes) throw tooLarge(member.length);
    if (member.length > room) {
      parts.push([]);
      room = maxBytes;
    }
    parts.at(-1)?.push(member);
    room -= member.length;
  }
  return parts.map((part, nth) => {
    const splitEvent = { fragment: nth + 1, of: parts.length };
    return make([membersOf({ splitEvent }), ...part], nth + 1);
  });
}
