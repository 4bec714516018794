// Attributes -> JSON text, without losing a digit, a byte or a name.

import { type Attribute, type Item, typed, unknownAttribute } from "./attribute.ts";
import { compareDecimals } from "./decimal.ts";

/** `json`: as plain JSON as can be had; `dynamodb-json`: as the server writes it, which keeps each type. */
export type Encoding = "json" | "dynamodb-json";

/** The server nests no deeper than 32. */
const MAX_DEPTH = 64;
const numeral = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** An item, or the attributes of a key in this order. @throws PoisonError ATTRIBUTE_UNKNOWN */
export function itemJson(item: Item, encoding: Encoding, names: readonly string[] = Object.keys(item)): string {
  return mapJson(item, encoding, 0, names);
}

/** @throws PoisonError ATTRIBUTE_UNKNOWN */
export function attributeJson(attribute: Attribute, encoding: Encoding): string {
  return valueJson(attribute, encoding, 0);
}

/** A number where JSON's readers have it to the last digit, else its text. @param text as the server prints it */
export function numberJson(text: string): string {
  const number = Number(text);
  const isExact = String(number) === text && (!Number.isInteger(number) || Number.isSafeInteger(number));
  return isExact ? text : JSON.stringify(text);
}

/** The text of a value that is one for the server: of a text, of a number, or of bytes. @throws PoisonError ATTRIBUTE_UNKNOWN */
export function checkedText(type: string, value: unknown): string {
  if (typeof value !== "string") throw unknownAttribute("its value is no text");
  if (type === "N" && !numeral.test(value)) throw unknownAttribute("its value is no number");
  if (type === "B" && !base64.test(value)) throw unknownAttribute("its value is no base64");
  return value;
}

function valueJson(attribute: Attribute, encoding: Encoding, depth: number): string {
  if (depth > MAX_DEPTH) throw unknownAttribute("it is nested too deeply");
  const [type, value] = typed(attribute);
  const json = bareJson(type, value, encoding, depth);
  return encoding === "json" ? json : `{"${type}":${json}}`;
}

function bareJson(type: string, value: unknown, encoding: Encoding, depth: number): string {
  switch (type) {
    case "S":
    case "B":
      return JSON.stringify(checkedText(type, value));
    case "N":
      return numberIn(encoding, checkedText(type, value));
    case "BOOL":
      if (typeof value !== "boolean") throw unknownAttribute("its value is neither true nor false");
      return String(value);
    case "NULL":
      return encoding === "json" ? "null" : "true";
    case "L":
      return `[${listOf(value)
        .map((one) => valueJson(one as Attribute, encoding, depth + 1))
        .join(",")}]`;
    case "M":
      return mapJson(value, encoding, depth + 1);
    case "SS":
    case "NS":
    case "BS":
      return setJson(type, listOf(value), encoding);
    default:
      throw unknownAttribute(`there is no type ${JSON.stringify(type.slice(0, 20))}`);
  }
}

function mapJson(value: unknown, encoding: Encoding, depth: number, names?: readonly string[]): string {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw unknownAttribute("its value is no map");
  const members = value as Item;
  let text = "";
  for (const name of names ?? Object.keys(members))
    text += `${text === "" ? "{" : ","}${nameJson(name)}${valueJson(members[name] as Attribute, encoding, depth)}`;
  return text === "" ? "{}" : `${text}}`;
}

/** Names come again and again. */
const written = new Map<string, string>();
const MOST_WRITTEN = 1000;
const MOST_NAME_LENGTH = 256;

/** A member's name with its colon. */
function nameJson(name: string): string {
  const known = written.get(name);
  if (known !== undefined) return known;
  const json = `${JSON.stringify(name)}:`;
  if (written.size < MOST_WRITTEN && name.length <= MOST_NAME_LENGTH) written.set(name, json);
  return json;
}

/** A set's order means nothing to the server: the same set is the same text. */
function setJson(type: SetType, values: readonly unknown[], encoding: Encoding): string {
  const members = values.map((one) => checkedText(type.slice(0, 1), one));
  const written = encoding === "json" ? sortedSet(type, members) : members;
  return `[${written.map((one) => (type === "NS" ? numberIn(encoding, one) : JSON.stringify(one))).join(",")}]`;
}

function numberIn(encoding: Encoding, text: string): string {
  return encoding === "json" ? numberJson(text) : JSON.stringify(text);
}

export type SetType = "SS" | "NS" | "BS";

/** Texts and bytes by their bytes, numbers by their values. */
export function sortedSet(type: SetType, members: readonly string[]): readonly string[] {
  if (type === "NS") return [...members].sort(compareDecimals);
  const encoding = type === "SS" ? "utf8" : "base64";
  const keyed = members.map((text) => ({ text, bytes: Buffer.from(text, encoding) }));
  return keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ text }) => text);
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw unknownAttribute("its value is no list");
  return value;
}
