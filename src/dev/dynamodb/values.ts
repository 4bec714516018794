// Attributes as the server keeps them: what it refuses, how it writes numbers, what it calls equal, and how large it says they are.

import { invalid } from "./fault.ts";

/** `{"S": "text"}`. As it was parsed, so that an attribute may be called `__proto__` too. */
export type Attribute = Readonly<Record<string, unknown>>;
export type Item = Readonly<Record<string, Attribute>>;

const MAX_DEPTH = 32;
const MAX_DIGITS = 38;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The item as it is kept. @throws DynamoFault */
export function storedItem(item: unknown): Item {
  if (typeof item !== "object" || item === null) throw invalid("Item is missing");
  return mapped(item as Item, (attribute) => storedAttribute(attribute));
}

/** @throws DynamoFault */
export function storedAttribute(attribute: unknown, depth = 0): Attribute {
  const members = Object.entries((attribute ?? {}) as Record<string, unknown>);
  const [first, second] = members;
  if (first === undefined || second !== undefined)
    throw invalid(
      first === undefined
        ? "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        : "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
    );
  if (depth > MAX_DEPTH) throw invalid("Nesting Levels have exceeded supported limits");
  const [type, value] = first;
  switch (type) {
    case "S":
      return { S: textOf(value) };
    case "N":
      return { N: normalNumber(textOf(value)) };
    case "B":
      return { B: base64Of(value) };
    case "BOOL":
      return { BOOL: value === true };
    case "NULL":
      return { NULL: true };
    case "L":
      return { L: (value as readonly unknown[]).map((one) => storedAttribute(one, depth + 1)) };
    case "M":
      return { M: mapped(value as Item, (one) => storedAttribute(one, depth + 1)) };
    case "SS":
      return { SS: setOf(value, textOf) };
    case "NS":
      return { NS: setOf(value, (one) => normalNumber(textOf(one))) };
    case "BS":
      return { BS: setOf(value, base64Of) };
    default:
      throw invalid(
        `Supplied AttributeValue is empty, must contain exactly one of the supported datatypes (not ${type})`,
      );
  }
}

/** Up to 38 digits, without zeros that mean nothing, and without an exponent: `1.50E1` is `15`. @throws DynamoFault */
export function normalNumber(text: string): string {
  const [, sign, whole = "", fraction = "", exponent = "0"] =
    /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/.exec(text.trim()) ?? [];
  const all = whole + fraction;
  if (all === "") throw invalid(`The parameter cannot be converted to a numeric value: ${text}`);
  const significant = all.replace(/^0+/, "");
  const digits = significant.replace(/0+$/, "");
  if (digits === "") return "0";
  if (digits.length > MAX_DIGITS) throw invalid("Attempting to store more than 38 significant digits in a Number");
  /** How many digits stand before the point. */
  const point = whole.length + Number(exponent) - (all.length - significant.length);
  if (point > 126)
    throw invalid("Number overflow. Attempting to store a number with magnitude larger than supported range");
  if (point < -129)
    throw invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range");
  const minus = sign === "-" ? "-" : "";
  if (point <= 0) return `${minus}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return minus + digits.padEnd(point, "0");
  return `${minus}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** The same text for equal attributes: neither the order of members nor that of a set means anything. */
export function canonicalText(attribute: Attribute): string {
  const [[type, value] = ["", undefined]] = Object.entries(attribute);
  if (type === "M") {
    const members = Object.entries(value as Item).sort(([a], [b]) => (a < b ? -1 : 1));
    return `M{${members.map(([name, one]) => `${JSON.stringify(name)}:${canonicalText(one)}`).join()}}`;
  }
  if (type === "L") return `L[${(value as readonly Attribute[]).map(canonicalText).join()}]`;
  return type + JSON.stringify(Array.isArray(value) ? [...value].sort() : value);
}

/** Whether the server would say that nothing has changed. */
export function isSameItem(a: Item | undefined, b: Item | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalText({ M: a }) === canonicalText({ M: b });
}

/** Bytes, roughly as the server counts them. */
export function sizeOfItem(item: Item): number {
  return Object.entries(item).reduce((sum, [name, one]) => sum + Buffer.byteLength(name) + sizeOf(one), 0);
}

function sizeOf(attribute: Attribute): number {
  const [[type, value] = ["", undefined]] = Object.entries(attribute);
  switch (type) {
    case "M":
      return 3 + sizeOfItem(value as Item);
    case "L":
      return 3 + (value as readonly Attribute[]).reduce((sum, one) => sum + 1 + sizeOf(one), 0);
    case "BOOL":
    case "NULL":
      return 1;
    default:
      return (Array.isArray(value) ? value : [value]).reduce(
        (sum: number, one) => sum + scalarSize(type, String(one)),
        0,
      );
  }
}

function scalarSize(type: string, text: string): number {
  if (type.startsWith("N")) return Math.min(21, Math.ceil(text.length / 2) + 1);
  return type.startsWith("B") ? Math.floor((text.length * 3) / 4) : Buffer.byteLength(text);
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw invalid("an attribute's value is no text");
  return value;
}

function base64Of(value: unknown): string {
  const text = textOf(value);
  if (!BASE64.test(text)) throw invalid("Base64 encoded length is expected a multiple of 4 bytes");
  return text;
}

function setOf(value: unknown, each: (one: unknown) => string): readonly string[] {
  const members = (value as readonly unknown[]).map(each);
  if (members.length === 0) throw invalid("One or more parameter values were invalid: An set may not be empty");
  if (new Set(members).size < members.length)
    throw invalid("One or more parameter values were invalid: Input collection contains duplicates");
  return members;
}

/** Keeps a member that is called `__proto__`. */
function mapped(item: Item, each: (attribute: unknown) => Attribute): Item {
  return Object.fromEntries(Object.entries(item).map(([name, one]) => [name, each(one)]));
}
