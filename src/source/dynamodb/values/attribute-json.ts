// Attributes -> JSON text, without losing a digit, a byte or a name.

import { type Attribute, type Item, typed, unknownAttribute } from "./attribute.ts";
import { compareDecimals } from "./decimal.ts";

/** `json`: as plain JSON as can be had; `dynamodb-json`: as the server writes it, which keeps each type. */
export type Encoding = "json" | "dynamodb-json";

/** The server nests no deeper than 32. */
const MAX_DEPTH = 64;

/** An item, or the attributes of a key in this order. @throws PoisonError ATTRIBUTE_UNKNOWN */
export function itemJson(item: Item, encoding: Encoding, names: readonly string[] = Object.keys(item)): string {
  const members = names.map((name) => `${JSON.stringify(name)}:${attributeJson(item[name] as Attribute, encoding)}`);
  return `{${members.join(",")}}`;
}

/** @throws PoisonError ATTRIBUTE_UNKNOWN */
export function attributeJson(attribute: Attribute, encoding: Encoding): string {
  return encoding === "json" ? plainJson(attribute, 0) : JSON.stringify(attribute);
}

/** A number where JSON's readers have it to the last digit, else its text. @param text as the server prints it */
export function numberJson(text: string): string {
  const number = Number(text);
  const isExact = String(number) === text && (!Number.isInteger(number) || Number.isSafeInteger(number));
  return isExact ? text : JSON.stringify(text);
}

function plainJson(attribute: Attribute, depth: number): string {
  if (depth > MAX_DEPTH) throw unknownAttribute("it is nested too deeply");
  const [type, value] = typed(attribute);
  switch (type) {
    case "S":
    case "B":
      return JSON.stringify(textOf(value));
    case "N":
      return numberJson(textOf(value));
    case "BOOL":
      return value === true ? "true" : "false";
    case "NULL":
      return "null";
    case "L":
      return `[${listOf(value)
        .map((one) => plainJson(one as Attribute, depth + 1))
        .join(",")}]`;
    case "M": {
      const members = value as Item;
      const texts = Object.keys(members).map(
        (name) => `${JSON.stringify(name)}:${plainJson(members[name] as Attribute, depth + 1)}`,
      );
      return `{${texts.join(",")}}`;
    }
    default:
      return setJson(type, listOf(value).map(textOf));
  }
}

/** A set's order means nothing to the server: the same set is the same text. */
function setJson(type: string, members: readonly string[]): string {
  const sorted = sortedSet(type, members);
  return `[${sorted.map((member) => (type === "NS" ? numberJson(member) : JSON.stringify(member))).join(",")}]`;
}

/** @throws PoisonError ATTRIBUTE_UNKNOWN where it is no set */
export function sortedSet(type: string, members: readonly string[]): readonly string[] {
  if (type === "NS") return [...members].sort(compareDecimals);
  if (type !== "SS" && type !== "BS") throw unknownAttribute(`there is no type ${JSON.stringify(type.slice(0, 20))}`);
  const encoding = type === "SS" ? "utf8" : "base64";
  const keyed = members.map((text) => ({ text, bytes: Buffer.from(text, encoding) }));
  return keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ text }) => text);
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw unknownAttribute("its value is no text");
  return value;
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unknownAttribute("its value is no list");
  return value;
}
