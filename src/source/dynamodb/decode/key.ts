// What an item is called: the key of its events, and the text that `ce-subject` has for it.

import { PoisonError } from "../../../errors.ts";
import { canonicalJson, laneOf } from "../../../event/lane.ts";
import { percentEncode } from "../../../event/percent.ts";
import { type Attribute, type Item, typed } from "../values/attribute.ts";
import { type Encoding, itemJson } from "../values/attribute-json.ts";

export interface Key {
  /** JSON of the key attributes, in the order of the key schema. */
  readonly json: string;
  readonly lane: string;
  /** For `ce-subject`, percent-encoded, joined by commas. A table's key attributes keep their types: none can be mistaken. */
  readonly subject: string;
}

/** @param names in the order of the key schema @throws PoisonError KEY_MISSING, ATTRIBUTE_UNKNOWN */
export function keyOf(keys: Item, names: readonly string[], encoding: Encoding): Key {
  for (const name of names) {
    if (!Object.hasOwn(keys, name))
      throw new PoisonError("KEY_MISSING", "a record carries no value for a key attribute");
  }
  const json = itemJson(keys, encoding, names);
  return {
    json,
    lane: laneOf(Buffer.from(names.length === 1 && encoding === "json" ? json : canonicalJson(JSON.parse(json)))),
    subject: names.map((name) => keyPart(keys[name] as Attribute)).join(","),
  };
}

/** A comma inside a value is escaped, so that the one between values can be told. */
function keyPart(attribute: Attribute): string {
  const [, value] = typed(attribute);
  return percentEncode(String(value)).replaceAll(",", "%2C");
}
