// An item that the application wrote into its outbox -> a domain event. What else happens to it is nobody's news.

import { domainEvent, malformed } from "../../../event/domain-event.ts";
import { type CarriedLineage, isCauseId } from "../../../event/lineage.ts";
import type { Domain, Transaction, Unplaced } from "../../../event/source-event.ts";
import { type Attribute, type Item, ownAttribute, typed } from "../values/attribute.ts";
import { attributeJson, type Encoding } from "../values/attribute-json.ts";
import type { RawRecord } from "./record.ts";

/**
 * A write that brings another `id` is an event: of an item that was not there, or of one that is written over by its aggregate's
 * next event. All else is none: what becomes of the item later, and that it goes.
 * @returns the event, and what caused it where the application said so; undefined where it is none
 * @throws PoisonError OUTBOX_MALFORMED, ATTRIBUTE_UNKNOWN
 */
export function outboxEvent(
  { eventName, dynamodb: { OldImage, NewImage } }: RawRecord,
  encoding: Encoding,
): (Unplaced<Domain> & Partial<Pick<Transaction, "lineage">>) | undefined {
  if (eventName === "REMOVE") return undefined;
  if (!NewImage) throw malformed("its record has no image of the item");
  const id = textAt(NewImage, "id");
  if (eventName === "MODIFY") {
    if (!OldImage) throw malformed("its record has no image of the item before");
    if (id !== undefined && textAt(OldImage, "id") === id) return undefined;
  }
  const said = domainEvent({
    id,
    aggregatetype: textAt(NewImage, "aggregatetype"),
    aggregateid: textAt(NewImage, "aggregateid", "N"),
    type: textAt(NewImage, "type"),
    payload: payloadOf(ownAttribute(NewImage, "payload"), encoding),
    headers: headersOf(ownAttribute(NewImage, "headers")),
  });
  return { ...said, lineage: lineageOf(ownAttribute(NewImage, "lineage")) };
}

/** @param or another type whose values are texts for the server */
function textAt(item: Item, name: string, or = "S"): string | undefined {
  const attribute = ownAttribute(item, name);
  if (attribute === undefined) return undefined;
  const [type, value] = typed(attribute);
  return (type === "S" || type === or) && typeof value === "string" ? value : undefined;
}

/** A text is JSON already, as emit() writes it; all else becomes what it would be in an item. */
function payloadOf(attribute: Attribute | undefined, encoding: Encoding): Uint8Array {
  if (attribute === undefined) throw malformed("it has no payload");
  const [type, value] = typed(attribute);
  if (type !== "S") return Buffer.from(attributeJson(attribute, encoding));
  if (typeof value !== "string" || !isJson(value)) throw malformed("its payload is a text, and not JSON");
  return Buffer.from(value);
}

function isJson(text: string): boolean {
  if (/\p{Surrogate}/u.test(text)) return false; // half of a letter, which UTF-8 does not have
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // the parser's own words would quote the item
  }
}

function headersOf(attribute: Attribute | undefined): unknown {
  const members = membersOf(attribute);
  if (members === undefined) return undefined;
  if (members === "other") throw malformed("its headers are no map");
  return Object.fromEntries(Object.keys(members).map((name) => [name, textAt(members, name)]));
}

/** Nothing proves it, for anybody who writes to the outbox can write one: the two ids are carried. */
function lineageOf(attribute: Attribute | undefined): CarriedLineage | undefined {
  const members = membersOf(attribute);
  if (members === undefined) return undefined;
  const said = members === "other" ? {} : members;
  const [correlationId, causationId] = [textAt(said, "correlationId"), textAt(said, "causationId")];
  if (!isCauseId(correlationId) || !isCauseId(causationId))
    throw malformed("its lineage has no correlationId and causationId");
  return { correlationId, causationId, proven: undefined };
}

/** Of a map; undefined where there is nothing. */
function membersOf(attribute: Attribute | undefined): Item | "other" | undefined {
  if (attribute === undefined) return undefined;
  const [type, value] = typed(attribute);
  if (type === "NULL") return undefined;
  return type === "M" && typeof value === "object" && value !== null ? (value as Item) : "other";
}
