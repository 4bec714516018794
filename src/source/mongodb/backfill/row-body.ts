// Documents as a copy has them: the body that the event of an insert has, written by the same encoder.

import type { CopiedRow } from "../../../event/source-event.ts";
import { JsonWriter } from "../../json-writer.ts";
import { subjectOf, writeKey } from "../decode/key.ts";
import type { RawValue } from "../decode/raw-event.ts";
import { FieldWalk, malformed } from "../values/bson.ts";
import { type Encoding, writeDocument } from "../values/bson-json.ts";

const begin = Buffer.from('{"op":"read","key":');
const after = Buffer.from(',"before":null,"after":');
const END = 0x7d;

export class RowBody {
  readonly #writer = new JsonWriter();
  readonly #encoding: Encoding;

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
  }

  /** @param document raw @throws PoisonError BSON_MALFORMED */
  write(document: Buffer, id: RawValue): Pick<CopiedRow, "lane" | "key" | "data"> {
    const writer = this.#writer;
    writer.reserve(document.length + (document.length >>> 1) + 4096);
    const start = writer.at;
    writer.room(begin.length);
    writer.literal(begin);
    const lane = writeKey(writer, this.#encoding, id);
    writer.room(after.length);
    writer.literal(after);
    writeDocument(writer, this.#encoding, document);
    writer.room(1);
    writer.byte(END);
    const data = writer.view(start);
    return { lane, data, key: subjectOf(writer, id) };
  }
}

/** A document's `_id`. @throws PoisonError BSON_MALFORMED */
export function idOf(document: Buffer): RawValue {
  const walk = new FieldWalk(document);
  while (walk.next()) {
    if (walk.name === "_id") return { bytes: document, type: walk.type, from: walk.from, to: walk.to };
  }
  throw malformed("it has no _id");
}
