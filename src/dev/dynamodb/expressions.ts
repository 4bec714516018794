// The part of DynamoDB's expressions that the double knows: SET with values, other attributes, sums and if_not_exists, REMOVE, and simple conditions.

import { DynamoFault, invalid, notModelled } from "./fault.ts";
import { type Attribute, canonicalText, type Item, normalNumber, storedAttribute } from "./values.ts";

export interface Placeholders {
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
  readonly ExpressionAttributeValues?: Readonly<Record<string, Attribute>>;
}

/** The item as the expression leaves it. @throws DynamoFault */
export function updated(item: Item, expression: string, given: Placeholders): Item {
  const attributes = new Map(Object.entries(item));
  for (const [, verb = "", clause = ""] of expression.matchAll(
    /\b(SET|REMOVE|ADD|DELETE)\b([\s\S]*?)(?=\b(?:SET|REMOVE|ADD|DELETE)\b|$)/gi,
  )) {
    const parts = clause.split(/,(?![^(]*\))/).map((part) => part.trim());
    for (const part of parts) apply(attributes, verb.toUpperCase(), part, item, given);
  }
  return Object.fromEntries(attributes);
}

function apply(attributes: Map<string, Attribute>, verb: string, part: string, item: Item, given: Placeholders): void {
  if (verb === "REMOVE") {
    attributes.delete(nameOf(part, given));
    return;
  }
  if (verb === "ADD") {
    const [name = "", value = ""] = part.split(/\s+/);
    attributes.set(nameOf(name, given), sum(item[nameOf(name, given)] ?? { N: "0" }, givenValue(value, given), 1));
    return;
  }
  const [, name = "", text = ""] = /^(\S+)\s*=\s*([\s\S]+)$/.exec(part) ?? [];
  if (verb !== "SET" || name === "") throw notModelled(`the expression ${verb} ${part}`);
  attributes.set(nameOf(name, given), operand(text, item, given));
}

function operand(text: string, item: Item, given: Placeholders): Attribute {
  const [, left, sign, right] = /^([\s\S]+?)\s+([+-])\s+([\s\S]+)$/.exec(text) ?? [];
  if (left !== undefined && right !== undefined)
    return sum(operand(left, item, given), operand(right, item, given), sign === "-" ? -1 : 1);
  const [, name, other] = /^if_not_exists\s*\(\s*([^,\s]+)\s*,\s*(\S+?)\s*\)$/i.exec(text) ?? [];
  if (name !== undefined && other !== undefined) return item[nameOf(name, given)] ?? operand(other, item, given);
  if (text.startsWith(":")) return givenValue(text, given);
  const attribute = item[nameOf(text, given)];
  if (attribute === undefined)
    throw invalid("The provided expression refers to an attribute that does not exist in the item");
  return attribute;
}

function sum(a: Attribute, b: Attribute, sign: 1 | -1): Attribute {
  if (typeof a.N !== "string" || typeof b.N !== "string")
    throw invalid("An operand in the update expression has an incorrect data type");
  return { N: normalNumber(String(Number(a.N) + sign * Number(b.N))) };
}

/** @throws DynamoFault ConditionalCheckFailedException where it does not hold */
export function demand(item: Item | undefined, condition: unknown, given: Placeholders): void {
  if (condition === undefined) return;
  const holds = String(condition)
    .split(/\s+OR\s+/i)
    .some((either) => either.split(/\s+AND\s+/i).every((part) => isTrue(item ?? {}, part.trim(), given)));
  if (!holds) throw new DynamoFault("ConditionalCheckFailedException", "The conditional request failed");
}

function isTrue(item: Item, part: string, given: Placeholders): boolean {
  const [, not, name] = /^attribute_(not_)?exists\s*\(\s*(\S+?)\s*\)$/i.exec(part) ?? [];
  if (name !== undefined) return Object.hasOwn(item, nameOf(name, given)) === (not === undefined);
  const [, left = "", sign, right] = /^(\S+)\s*(=|<>)\s*(:\S+)$/.exec(part) ?? [];
  if (right === undefined) throw notModelled(`the condition ${part}`);
  const attribute = item[nameOf(left, given)];
  const isEqual = attribute !== undefined && canonicalText(attribute) === canonicalText(givenValue(right, given));
  return isEqual === (sign === "=");
}

function nameOf(text: string, { ExpressionAttributeNames: names = {} }: Placeholders): string {
  if (/[.[]/.test(text)) throw notModelled(`the path ${text}`);
  if (!text.startsWith("#")) return text;
  const name = names[text];
  if (name === undefined)
    throw invalid(`An expression attribute name used in the document path is not defined; attribute name: ${text}`);
  return name;
}

function givenValue(text: string, { ExpressionAttributeValues: values = {} }: Placeholders): Attribute {
  const value = values[text];
  if (value === undefined)
    throw invalid(`An expression attribute value used in expression is not defined; attribute value: ${text}`);
  return storedAttribute(value);
}
