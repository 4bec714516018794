// What an item is called: the key of its events, and the text that `ce-subject` has for it.

import { PoisonError } from "../../../errors.ts";
import { canonicalJson, laneOf } from "../../../event/lane.ts";
import { percentEncode } from "../../../event/percent.ts";
import { type Attribute, type Item, ownAttribute, typed } from "../values/attribute.ts";
import { checkedText, type Encoding, itemJson } from "../values/attribute-json.ts";

export interface Key {
  /** JSON of the key attributes, in the order of the key schema. */
  readonly json: string;
  /** By the key as the events have it: another encoding is another lane. */
  readonly lane: string;
  /**
   * For `ce-subject`, percent-encoded, joined by commas; the same in each encoding. A table holds each key attribute to one type:
   * no two keys of one table have the same text.
   */
  readonly subject: string;
}

const keyTypes: ReadonlySet<string> = new Set(["S", "N", "B"]);

/** @param names in the order of the key schema @throws PoisonError KEY_MISSING, KEY_UNKNOWN, ATTRIBUTE_UNKNOWN */
export function keyOf(keys: Item, names: readonly string[], encoding: Encoding): Key {
  const subject = names.map((name) => {
    const attribute = ownAttribute(keys, name);
    if (attribute !== undefined) return keyPart(attribute);
    throw new PoisonError("KEY_MISSING", "a record carries no value for a key attribute", {
      hint: "It is kept as a dead letter, as the server sent it. Does the endpoint speak DynamoDB's own protocol?",
    });
  });
  const json = itemJson(keys, encoding, names);
  return {
    json,
    lane: laneOf(Buffer.from(names.length === 1 && encoding === "json" ? json : canonicalJson(JSON.parse(json)))),
    subject: subject.join(","),
  };
}

/** A comma inside a value is escaped, so that the one between values can be told. */
function keyPart(attribute: Attribute): string {
  const [type, value] = typed(attribute);
  const text = keyTypes.has(type) ? checkedText(type, value) : undefined;
  // Half of a letter has no UTF-8: two of them would be called the same.
  if (text !== undefined && !/\p{Surrogate}/u.test(text)) return percentEncode(text).replaceAll(",", "%2C");
  throw new PoisonError("KEY_UNKNOWN", "a key attribute is neither a text in UTF-8 nor a number nor bytes", {
    hint: "It is kept as a dead letter, as the server sent it. Does the endpoint speak DynamoDB's own protocol?",
  });
}
