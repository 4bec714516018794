// One document as it is -> its shape. Joined over many it is what all of them were, and no promise for the next one.

import { fieldsOf, Type } from "../values/bson.ts";
import { anyOf, type BsonName, bsonNames, join, type Member, NOTHING, type Shape } from "./shape.ts";

const nameOf: ReadonlyMap<number, BsonName> = new Map(
  Object.entries(bsonNames).map(([name, code]) => [code, name as BsonName]),
);
/** With more members than this a document is a map: its members' names are data, and stand in no file. */
const MAX_MEMBERS = 100;

/** @param from where the document begins @throws PoisonError BSON_MALFORMED */
export function documentShape(bytes: Buffer, from = 0, end: number = bytes.length): Shape {
  const members = new Map<string, Member>();
  for (const { type, nameFrom, from: start, to } of fieldsOf(bytes, from, end)) {
    const name = bytes.toString("utf8", nameFrom, start - 1);
    members.set(name, { shape: valueShape(bytes, type, start, to), required: true });
  }
  return { ...anyOf(["object"]), object: { members, rest: undefined } };
}

function valueShape(bytes: Buffer, type: number, from: number, to: number): Shape {
  if (type === Type.document) return documentShape(bytes, from, to);
  if (type !== Type.array) return anyOf([nameOf.get(type) as BsonName]);
  let items = NOTHING;
  for (const item of fieldsOf(bytes, from, to)) items = join(items, valueShape(bytes, item.type, item.from, item.to));
  return { ...anyOf(["array"]), items };
}

/** The same in one order, and with maps for documents below the first level that have too many names. */
export function tidied(shape: Shape): Shape {
  const { object, items } = shape;
  const members = [...(object?.members ?? [])]
    .map(([name, member]): [string, Member] => [name, { ...member, shape: asMap(tidied(member.shape)) }])
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...shape,
    object: object && { members: new Map(members), rest: object.rest },
    items: items && asMap(tidied(items)),
  };
}

function asMap(shape: Shape): Shape {
  const { object } = shape;
  if (object === undefined || object.members.size <= MAX_MEMBERS) return shape;
  const rest = [...object.members.values()].map((member) => member.shape).reduce(join, NOTHING);
  return { ...shape, object: { members: new Map(), rest } };
}
