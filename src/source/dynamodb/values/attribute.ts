// An attribute's value as the server's JSON has it: one member, named by its type.

import { PoisonError } from "../../../errors.ts";

/** `{"S": "text"}`. As it was parsed, so that an attribute may be called `__proto__` too. */
export type Attribute = Readonly<Record<string, unknown>>;
/** Attributes by their names. */
export type Item = Readonly<Record<string, Attribute>>;

/** One of an item's, whatever it is called. */
export function ownAttribute(item: Item, name: string): Attribute | undefined {
  return Object.hasOwn(item, name) ? item[name] : undefined;
}

/** @throws PoisonError ATTRIBUTE_UNKNOWN for what has no type, or several */
export function typed(attribute: Attribute): readonly [type: string, value: unknown] {
  if (typeof attribute !== "object" || attribute === null) throw unknownAttribute("it is no object");
  const types = Object.keys(attribute);
  const type = types[0];
  if (type === undefined || types.length > 1) throw unknownAttribute("it has no type, or several");
  return [type, attribute[type]];
}

export function unknownAttribute(what: string): PoisonError {
  return new PoisonError("ATTRIBUTE_UNKNOWN", `an attribute cannot be read: ${what}`, {
    hint: "Its record is kept as a dead letter, as the server sent it. Is there a newer version of Millrace that knows the type?",
  });
}
