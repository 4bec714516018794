// Some documents of a collection, raw: the same while nobody writes. A random sample would make other types each time.

import type { BSON, Db } from "mongodb";
import { fieldsOf } from "../values/bson.ts";

/** From each end of the index of `_id`. */
const END_DOCUMENTS = 250;
/** Of each type of `_id` that neither end has: they lie in order of their types. */
const KIND_DOCUMENTS = 25;
/** What the server takes as an `_id`, by the names that `$type` has. */
const idTypes = "double string object binData objectId bool date null timestamp decimal minKey maxKey int long".split(
  " ",
);

/** @throws what the driver throws */
export async function readSample(db: Db, name: string): Promise<readonly Buffer[]> {
  const found = new Map<string, Buffer>();
  let read = 0;
  const add = async (filter: BSON.Document, direction: 1 | -1, limit: number): Promise<void> => {
    const find = { find: name, filter, sort: { _id: direction }, limit, batchSize: limit, singleBatch: true };
    const reply = await db.command(find, { raw: true });
    for (const document of firstBatch(reply.cursor as Buffer)) {
      read++;
      found.set(idOf(document), document);
    }
  };
  await add({}, 1, END_DOCUMENTS);
  await add({}, -1, END_DOCUMENTS);
  if (read === 0 || read > found.size) return [...found.values()]; // the ends meet: that is all of them
  for (const $type of idTypes) await add({ _id: { $type } }, -1, KIND_DOCUMENTS);
  return [...found.values()];
}

function firstBatch(cursor: Buffer): readonly Buffer[] {
  for (const { nameFrom, from, to } of fieldsOf(cursor)) {
    if (cursor.toString("utf8", nameFrom, from - 1) !== "firstBatch") continue;
    return [...fieldsOf(cursor, from, to)].map((document) => cursor.subarray(document.from, document.to));
  }
  return [];
}

/** Its bytes, with its type. */
function idOf(document: Buffer): string {
  for (const { type, nameFrom, from, to } of fieldsOf(document)) {
    if (document.toString("latin1", nameFrom, from - 1) === "_id")
      return `${type} ${document.toString("latin1", from, to)}`;
  }
  return document.toString("latin1");
}
