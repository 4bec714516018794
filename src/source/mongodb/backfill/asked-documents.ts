// Which documents a slice is of, as the server is asked for them.

import type { BSON } from "mongodb";
import { percentDecode } from "../../../event/percent.ts";
import type { SliceRequest } from "../../capabilities.ts";
import { driver } from "../client/driver.ts";
import { idBehind, parseId } from "./id-place.ts";

/**
 * Whoever compares by a query's own `$gt` compares within one type of BSON, and would lose all others: `$expr` goes by the order
 * of the index, over all types and by the collection's collation.
 * @param upTo up to and with which `_id`, for `parseId`. Those with certain keys are never behind it: what is owed was read by a slice
 * @returns the server's filter; undefined where there can be no such document
 */
export function filterOf(
  request: Pick<SliceRequest, "target" | "after" | "keys">,
  upTo: string | undefined,
): BSON.Document | undefined {
  const { after, keys } = request;
  const behind = idBehind(request);
  const bound = behind && ["$_id", { $literal: behind.value }];
  if (keys === undefined) {
    const end = upTo === undefined ? undefined : ["$_id", { $literal: parseId(upTo) }];
    return { $and: [bound ? { $expr: { $gt: bound } } : {}, end ? { $expr: { $lte: end } } : {}] };
  }
  if (after !== undefined && bound === undefined) return undefined; // of the collection with that name nothing was read yet
  return { _id: { $in: keys.map(idOfKey) }, ...(bound && { $expr: { $lte: bound } }) };
}

/** The `_id` that a change's key stands for: the reverse of `subjectOf`. An int32 comes as an int64, which is equal to it. */
export function idOfKey(key: string): unknown {
  const text = percentDecode(key);
  if (/^[0-9a-f]{24}$/.test(text)) return new (driver().ObjectId)(text);
  if (/^-?\d+$/.test(text)) return driver().Long.fromString(text);
  if (text.startsWith('"')) return JSON.parse(text);
  return /^\{|^(?:true|false|null)$/.test(text) ? parseId(`{"_id":${text}}`) : text;
}
