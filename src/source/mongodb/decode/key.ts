// What a document is called: the key of its events, and the text that `ce-subject` has for it.

import type { JsonWriter } from "../../../event/json-writer.ts";
import { canonicalJson, laneOf } from "../../../event/lane.ts";
import { percentEncode } from "../../../event/percent-encode.ts";
import { stringAt, Type } from "../values/bson.ts";
import { type Encoding, writeValue } from "../values/bson-json.ts";
import type { RawValue } from "./raw-event.ts";

export interface Key {
  /** JSON of the key: `{"_id":…}`. */
  readonly json: string;
  readonly lane: string;
  /** For `ce-subject`, percent-encoded. */
  readonly subject: string;
}

/** Texts that stand as they are would be read as another kind of `_id`. */
const likeAnotherKind = /^([0-9+\-.{["]|true$|false$|null$|NaN$|Infinity$)|^[0-9a-fA-F]{24}$/;

export function keyOf(writer: JsonWriter, encoding: Encoding, id: RawValue): Key {
  const json = `{"_id":${jsonOf(writer, encoding, id)}}`;
  const isNested = id.type === Type.document || id.type === Type.array || json.includes("{", 1);
  return {
    json,
    lane: laneOf(Buffer.from(isNested ? canonicalJson(JSON.parse(json)) : json)),
    subject: percentEncode(identityOf(writer, id)),
  };
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
      return jsonOf(writer, "ejson", id);
  }
}

function jsonOf(writer: JsonWriter, encoding: Encoding, value: RawValue): string {
  writer.reserve(0);
  const start = writer.at;
  writeValue(writer, encoding, value.bytes, value);
  const text = writer.bytes.toString("utf8", start, writer.at);
  writer.at = start;
  return text;
}
