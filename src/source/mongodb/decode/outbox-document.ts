// A document that the application inserted into its outbox -> a domain event. What else happens to it is nobody's news.

import { isUtf8 } from "node:buffer";
import { domainEvent, malformed } from "../../../event/domain-event.ts";
import { type CarriedLineage, isCauseId } from "../../../event/lineage.ts";
import type { Domain, Transaction, Unplaced } from "../../../event/source-event.ts";
import type { JsonWriter } from "../../json-writer.ts";
import { stringAt, Type } from "../values/bson.ts";
import { type Encoding, uuidText, writeValue } from "../values/bson-json.ts";
import { membersIn, membersOf, type RawEvent, type RawValue, textIn } from "./raw-event.ts";

export interface OutboxWriting {
  readonly writer: JsonWriter;
  readonly encoding: Encoding;
}

const JSON_NULL = Buffer.from("null");
const UUID_BYTES = 16;

/**
 * @param event an insert
 * @returns the event, and what caused it where the application said so
 * @throws PoisonError OUTBOX_MALFORMED, BSON_MALFORMED
 */
export function outboxEvent(
  event: RawEvent,
  writing: OutboxWriting,
): Unplaced<Domain> & Partial<Pick<Transaction, "lineage">> {
  const document = membersIn(event, "fullDocument");
  const said = domainEvent({
    id: idOf(document.get("_id")),
    aggregatetype: textIn(document, "aggregatetype"),
    aggregateid: keyOf(document.get("aggregateid")),
    type: textIn(document, "type"),
    payload: payloadOf(document.get("payload"), writing),
    headers: headersOf(document.get("headers")),
  });
  return { ...said, lineage: lineageOf(document.get("lineage")) };
}

/** A uuid's text, whichever way it is stored; of others undefined. */
function idOf(value: RawValue | undefined): string | undefined {
  if (value?.type === Type.string) return stringAt(value.bytes, value.from);
  return value === undefined ? undefined : uuidOf(value);
}

function uuidOf({ type, bytes, from, to }: RawValue): string | undefined {
  const at = from + 5;
  const isUuid = type === Type.binary && bytes[from + 4] === 4 && to - at === UUID_BYTES;
  return isUuid ? uuidText(bytes.toString("hex", at, to)) : undefined;
}

/** As the text that it is called by: of keys that have one. */
function keyOf(value: RawValue | undefined): string | undefined {
  switch (value?.type) {
    case Type.int32:
      return String(value.bytes.readInt32LE(value.from));
    case Type.int64:
      return String(value.bytes.readBigInt64LE(value.from));
    case Type.objectId:
      return value.bytes.toString("hex", value.from, value.to);
    default:
      return idOf(value);
  }
}

/** A text is JSON already, as emit() writes it; all else becomes what it would be in a document. */
function payloadOf(value: RawValue | undefined, { writer, encoding }: OutboxWriting): Uint8Array {
  if (value === undefined) throw malformed("it has no payload");
  const { type, bytes, from, to } = value;
  if (type === Type.null) return JSON_NULL;
  if (type !== Type.string) {
    writer.reserve(0);
    const start = writer.at;
    writeValue(writer, encoding, bytes, value);
    return writer.view(start);
  }
  const text = bytes.subarray(from + 4, to - 1);
  if (!isUtf8(text) || !isJson(text.toString("utf8"))) throw malformed("its payload is a text, and not JSON");
  return Uint8Array.from(text);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // the parser's own words would quote the document
  }
}

function headersOf(value: RawValue | undefined): unknown {
  if (value === undefined || value.type === Type.null) return undefined;
  if (value.type !== Type.document) throw malformed("its headers are no document");
  const headers = [...membersOf(value.bytes, value.from, value.to)].map(([name, header]): [string, unknown] => [
    name,
    header.type === Type.string ? stringAt(header.bytes, header.from) : undefined,
  ]);
  return Object.fromEntries(headers);
}

/** Nothing proves it, for anybody who writes to the outbox can write one: the two ids are carried. */
function lineageOf(value: RawValue | undefined): CarriedLineage | undefined {
  if (value === undefined || value.type === Type.null) return undefined;
  const said = value.type === Type.document ? membersOf(value.bytes, value.from, value.to) : new Map();
  const [correlationId, causationId] = [textIn(said, "correlationId"), textIn(said, "causationId")];
  if (!isCauseId(correlationId) || !isCauseId(causationId))
    throw malformed("its lineage has no correlationId and causationId");
  return { correlationId, causationId, proven: undefined };
}
