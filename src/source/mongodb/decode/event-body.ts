// The JSON body of a change, written from the raw event without an object for each field.

import type { JsonWriter } from "../../json-writer.ts";
import { FieldWalk, fieldsOf, malformed, stringAt, Type } from "../values/bson.ts";
import { type Encoding, writeDocument, writeValue } from "../values/bson-json.ts";
import { writeKey } from "./key.ts";
import type { ChangeOp } from "./namespaces.ts";
import { documentAt, membersOf, type RawEvent, type RawValue, textIn } from "./raw-event.ts";

/** What was asked for of the documents before and after a change. */
export interface Images {
  readonly before: "stored" | "none";
  readonly after: "lookup" | "stored" | "none";
}

/** What was asked for of a document and is not there. */
export type Missing = "lookupsEmpty" | "imagesMissing";

export interface BodyOptions {
  readonly writer: JsonWriter;
  readonly encoding: Encoding;
  readonly images: Images;
  /** Called for each. */
  readonly onMissing?: ((what: Missing) => void) | undefined;
}

/** Finished pieces of JSON. */
const json = {
  key: Buffer.from(',"key":'),
  replaced: Buffer.from(',"replaced":true'),
  before: Buffer.from(',"before":'),
  beforeMissing: Buffer.from('null,"beforeMissing":true'),
  after: Buffer.from(',"after":'),
  afterMissing: Buffer.from('null,"afterMissing":true'),
  asOfLookup: Buffer.from(',"asOf":"lookup"'),
  null: Buffer.from("null"),
  update: Buffer.from(',"update":'),
  end: Buffer.from("}"),
};

const begin: Readonly<Record<ChangeOp, Buffer>> = {
  created: Buffer.from('{"op":"created"'),
  updated: Buffer.from('{"op":"updated"'),
  deleted: Buffer.from('{"op":"deleted"'),
};

export interface ChangeToWrite {
  readonly op: ChangeOp;
  /** As the server calls it: insert, update, replace, delete. */
  readonly kind: string;
  readonly event: RawEvent;
}

export class BodyWriter {
  readonly #options: BodyOptions;
  /** Of the newest body's key. */
  lane = "";
  /** The newest body's `_id`. */
  id: RawValue = { bytes: Buffer.alloc(0), type: Type.null, from: 0, to: 0 };

  constructor(options: BodyOptions) {
    this.#options = options;
  }

  /** @returns finished JSON, UTF-8 @throws PoisonError BSON_MALFORMED */
  write({ op, kind, event }: ChangeToWrite): Uint8Array {
    const { writer, encoding, images, onMissing } = this.#options;
    const before = documentAt(event, "fullDocumentBeforeChange");
    const after = documentAt(event, "fullDocument");
    const description = kind === "update" ? documentAt(event, "updateDescription") : undefined;
    writer.reserve(roomFor(sizeOf(before) + sizeOf(after) + sizeOf(description)));
    const start = writer.at;
    this.#literal(begin[op]);
    this.#literal(json.key);
    const documentKey = documentAt(event, "documentKey");
    const id = documentKey && idIn(documentKey);
    if (documentKey === undefined || id === undefined) throw malformed("a change has no document key");
    this.id = id;
    this.lane = writeKey(writer, encoding, id);
    this.#shardKey(documentKey);
    if (kind === "replace") this.#literal(json.replaced);
    this.#literal(json.before);
    if (before !== undefined) writeDocument(writer, encoding, before.bytes, before.from, before.to);
    else if (images.before === "none" || kind === "insert") this.#literal(json.null);
    else {
      this.#literal(json.beforeMissing);
      onMissing?.("imagesMissing");
    }
    this.#literal(json.after);
    if (after !== undefined) {
      writeDocument(writer, encoding, after.bytes, after.from, after.to);
      if (kind === "update" && images.after === "lookup") this.#literal(json.asOfLookup);
    } else if (images.after === "none" || kind !== "update") this.#literal(json.null);
    else {
      this.#literal(json.afterMissing);
      onMissing?.(images.after === "lookup" ? "lookupsEmpty" : "imagesMissing");
    }
    if (description !== undefined) this.#update(description);
    this.#literal(json.end);
    return writer.view(start);
  }

  /** The rest of a sharded collection's document key. */
  #shardKey({ bytes, from, to }: RawValue): void {
    const { writer, encoding } = this.#options;
    const walk = new FieldWalk(bytes, from, to);
    let separator = ',"shardKey":{';
    while (walk.next()) {
      if (isId(walk)) continue;
      this.#text(`${separator}${JSON.stringify(walk.name)}:`);
      writeValue(writer, encoding, bytes, walk);
      separator = ",";
    }
    if (separator === ",") this.#literal(json.end);
  }

  #update(description: RawValue): void {
    const { writer, encoding } = this.#options;
    this.#literal(json.update);
    writeDocument(writer, encoding, description.bytes, description.from, description.to);
    this.#text(`,"changed":${JSON.stringify(changedFields(description))}`);
  }

  #literal(text: Buffer): void {
    const { writer } = this.#options;
    writer.room(text.length);
    writer.literal(text);
  }

  #text(text: string): void {
    const { writer } = this.#options;
    writer.room(Buffer.byteLength(text));
    writer.at += writer.bytes.write(text, writer.at);
  }
}

/** More than the JSON of most documents of that size needs: an arena is rarely outgrown. */
function roomFor(bytes: number): number {
  return bytes + (bytes >>> 1) + 4096;
}

function sizeOf(value: RawValue | undefined): number {
  return value === undefined ? 0 : value.to - value.from;
}

function idIn({ bytes, from, to }: RawValue): RawValue | undefined {
  const walk = new FieldWalk(bytes, from, to);
  while (walk.next()) if (isId(walk)) return walk;
  return undefined;
}

function isId({ bytes, nameFrom, from }: FieldWalk): boolean {
  return (
    from - nameFrom === 4 && bytes[nameFrom] === 0x5f && bytes[nameFrom + 1] === 0x69 && bytes[nameFrom + 2] === 0x64
  );
}

/** The top-level fields that an update touched, sorted. */
function changedFields({ bytes, from, to }: RawValue): readonly string[] {
  const description = membersOf(bytes, from, to);
  const ambiguous = documentAt(description, "disambiguatedPaths");
  const paths = ambiguous && membersOf(bytes, ambiguous.from, ambiguous.to);
  const changed = new Set<string>();
  const add = (path: string): void => {
    const exact = paths?.get(path);
    const [first] = exact?.type === Type.array ? fieldsOf(bytes, exact.from, exact.to) : [];
    if (first?.type === Type.string) changed.add(stringAt(bytes, first.from));
    else changed.add(path.split(".", 1)[0] as string);
  };
  const updated = documentAt(description, "updatedFields");
  if (updated !== undefined)
    for (const walk = new FieldWalk(bytes, updated.from, updated.to); walk.next(); ) add(walk.name);
  for (const { type, from } of itemsOf(description.get("removedFields")))
    if (type === Type.string) add(stringAt(bytes, from));
  for (const { type, from, to } of itemsOf(description.get("truncatedArrays"))) {
    const path = type === Type.document ? textIn(membersOf(bytes, from, to), "field") : undefined;
    if (path !== undefined) add(path);
  }
  return [...changed].sort();
}

function* itemsOf(list: RawValue | undefined): Generator<RawValue> {
  if (list?.type !== Type.array) return;
  const { bytes } = list;
  for (const { type, from, to } of fieldsOf(bytes, list.from, list.to)) yield { bytes, type, from, to };
}
