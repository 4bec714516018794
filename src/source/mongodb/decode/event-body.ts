// The JSON body of a change, written from the raw event without an object for each field.

import type { JsonWriter } from "../../../event/json-writer.ts";
import type { Op } from "../../../event/subject.ts";
import { fieldsOf, stringAt, Type } from "../values/bson.ts";
import { type Encoding, writeDocument, writeValue } from "../values/bson-json.ts";
import type { Key } from "./key.ts";
import { membersIn, membersOf, type RawEvent, type RawValue, textIn } from "./raw-event.ts";

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

export interface ChangeToWrite {
  readonly op: Op;
  /** As the server calls it: insert, update, replace, delete. */
  readonly kind: string;
  readonly key: Key;
  readonly event: RawEvent;
}

/** @returns finished JSON, UTF-8 @throws PoisonError BSON_MALFORMED */
export function writeBody({ op, kind, key, event }: ChangeToWrite, options: BodyOptions): Uint8Array {
  const { writer, images, onMissing } = options;
  writer.reserve(0);
  const start = writer.at;
  const text = (json: string): void => {
    const size = Buffer.byteLength(json);
    writer.room(size);
    writer.at += writer.bytes.write(json, writer.at);
  };
  text(`{"op":"${op}","key":${key.json}`);
  writeShardKey(event, options, text);
  if (kind === "replace") text(',"replaced":true');
  const before = event.get("fullDocumentBeforeChange");
  text(',"before":');
  if (isDocument(before)) writeDocument(writer, options.encoding, before.bytes, before.from, before.to);
  else if (images.before === "none" || kind === "insert") text("null");
  else {
    text('null,"beforeMissing":true');
    onMissing?.("imagesMissing");
  }
  const after = event.get("fullDocument");
  text(',"after":');
  if (isDocument(after)) {
    writeDocument(writer, options.encoding, after.bytes, after.from, after.to);
    if (kind === "update" && images.after === "lookup") text(',"asOf":"lookup"');
  } else if (images.after === "none" || kind !== "update") text("null");
  else {
    text('null,"afterMissing":true');
    onMissing?.(images.after === "lookup" ? "lookupsEmpty" : "imagesMissing");
  }
  if (kind === "update") writeUpdate(event, options, text);
  text("}");
  return writer.view(start);
}

function isDocument(value: RawValue | undefined): value is RawValue {
  return value?.type === Type.document;
}

function writeShardKey(event: RawEvent, { writer, encoding }: BodyOptions, text: (json: string) => void): void {
  let separator = ',"shardKey":{';
  for (const [name, value] of membersIn(event, "documentKey")) {
    if (name === "_id") continue;
    text(`${separator}${JSON.stringify(name)}:`);
    writeValue(writer, encoding, value.bytes, value);
    separator = ",";
  }
  if (separator === ",") text("}");
}

function writeUpdate(event: RawEvent, { writer, encoding }: BodyOptions, text: (json: string) => void): void {
  const description = event.get("updateDescription");
  if (!isDocument(description)) return;
  text(',"update":');
  writeDocument(writer, encoding, description.bytes, description.from, description.to);
  text(`,"changed":${JSON.stringify(changedFields(membersIn(event, "updateDescription")))}`);
}

/** The top-level fields that an update touched, sorted. */
function changedFields(description: RawEvent): readonly string[] {
  const paths = membersIn(description, "disambiguatedPaths");
  const changed = new Set<string>();
  const add = (path: string): void => {
    const exact = paths.get(path);
    const [first] = exact?.type === Type.array ? fieldsOf(exact.bytes, exact.from, exact.to) : [];
    if (exact !== undefined && first?.type === Type.string) changed.add(stringAt(exact.bytes, first.from));
    else changed.add(path.split(".", 1)[0] as string);
  };
  for (const path of membersIn(description, "updatedFields").keys()) add(path);
  for (const { bytes, type, from } of itemsOf(description.get("removedFields")))
    if (type === Type.string) add(stringAt(bytes, from));
  for (const { bytes, type, from, to } of itemsOf(description.get("truncatedArrays"))) {
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
