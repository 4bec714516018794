// What a document is called: the key of its events, and the text that `ce-subject` has for it.

import { canonicalJson, laneOf } from "../../../event/lane.ts";
import { percentEncode } from "../../../event/percent.ts";
import type { JsonWriter } from "../../json-writer.ts";
import { stringAt, Type } from "../values/bson.ts";
import { type Encoding, writeValue } from "../values/bson-json.ts";
import type { RawValue } from "./raw-event.ts";

const BEGIN = Buffer.from('{"_id":');
const END = 0x7d;

/** Texts that stand as they are would be read as another kind of `_id`. */
const likeAnotherKind = /^([0-9+\-.{["]|true$|false$|null$|NaN$|Infinity$)|^[0-9a-fA-F]{24}$/;

/** Writes `{"_id":…}`. @returns the key's lane */
export function writeKey(writer: JsonWriter, encoding: Encoding, id: RawValue): string {
  writer.room(BEGIN.length);
  const start = writer.at;
  writer.literal(BEGIN);
  writeValue(writer, encoding, id.bytes, id);
  writer.room(1);
  writer.byte(END);
  if (!isObject(id.type, encoding)) return laneOf(writer.bytes, start, writer.at);
  return laneOf(Buffer.from(canonicalJson(JSON.parse(writer.bytes.toString("utf8", start, writer.at)))));
}

/** Whether its JSON may hold members, whose order the lane does not depend on. */
function isObject(type: number, encoding: Encoding): boolean {
  switch (type) {
    case Type.string:
    case Type.boolean:
    case Type.null:
      return false;
    case Type.int32:
    case Type.int64:
    case Type.double:
    case Type.objectId:
    case Type.date:
    case Type.decimal128:
    case Type.binary:
      return encoding === "ejson";
    default:
      return true;
  }
}

/** For `ce-subject`, percent-encoded. */
export function subjectOf(writer: JsonWriter, id: RawValue): string {
  return percentEncode(identityOf(writer, id));
}

/** Injective: no two `_id`s of one collection have the same text. */
export function identityOf(writer: JsonWriter, id: RawValue): string {
  switch (id.type) {
    case Type.int32:
      return String(id.bytes.readInt32LE(id.from));
    case Type.int64:
      return String(id.bytes.readBigInt64LE(id.from));
    case Type.objectId:
      return id.bytes.toString("hex", id.from, id.to);
    case Type.string: {
      const text = stringAt(id.bytes, id.from);
      return likeAnotherKind.test(text) ? JSON.stringify(text) : text;
    }
    default:
      return canonicalText(writer, id);
  }
}

/** In canonical Extended JSON. */
function canonicalText(writer: JsonWriter, value: RawValue): string {
  writer.reserve(0);
  const start = writer.at;
  writeValue(writer, "ejson", value.bytes, value);
  const text = writer.bytes.toString("utf8", start, writer.at);
  writer.at = start;
  return text;
}
