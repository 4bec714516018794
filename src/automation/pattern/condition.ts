// One item of a pattern's list: a plain value, or an operator with its argument.

import { canonicalAddress, parseCidr } from "./address.ts";
import type { Leaf } from "./event-leaves.ts";
import { invalidPattern } from "./invalid-pattern.ts";
import { folded, parseWildcard } from "./text-tests.ts";

type Test = (value: Leaf["value"]) => boolean;

/** A test of a value that is there, or that the field is not there. */
export type Condition = Test | "absent";

/** Reads an operator's argument. @throws ConfigError */
type Operator = (argument: unknown, place: readonly string[]) => Condition;

const OPERATORS: Readonly<Record<string, Operator>> = {
  exactly: (argument, place) => {
    const text = textOf(argument, place);
    return (value) => value === text;
  },
  prefix: (argument, place) => affix(argument, place, "prefix"),
  suffix: (argument, place) => affix(argument, place, "suffix"),
  "equals-ignore-case": (argument, place) => inText(folded(textOf(argument, place)).equals),
  wildcard: (argument, place) => inText(parseWildcard(textOf(argument, place), place)),
  cidr: (argument, place) => inText(parseCidr(textOf(argument, place), place)),
  numeric: (argument, place) => numeric(argument, place),
  exists: (argument, place) => {
    if (typeof argument !== "boolean") throw invalidPattern(place, "exists is true or false", "write { exists: true }");
    return argument ? () => true : "absent";
  },
  "anything-but": (argument, place) => anythingBut(argument, place),
};

/** @throws ConfigError `PATTERN_INVALID` */
export function parseCondition(item: unknown, place: readonly string[]): Condition {
  if (typeof item === "string") {
    const address = canonicalAddress(item);
    return address === undefined
      ? (value) => value === item
      : (value) => value === item || (typeof value === "string" && canonicalAddress(value) === address);
  }
  if (item === null || typeof item === "boolean" || typeof item === "number") return (value) => value === item;
  if (typeof item !== "object" || Array.isArray(item)) {
    throw invalidPattern(place, "a list holds values and operators only", 'write ["a", "b"] or [{ prefix: "a" }]');
  }
  const [member, second] = Object.entries(item);
  if (member === undefined || second !== undefined) {
    throw invalidPattern(place, "expected one operator an object", "write several as several items of the list");
  }
  const [name, argument] = member;
  const operator = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
  if (operator === undefined) {
    throw invalidPattern(
      place,
      `there is no operator "${name}"`,
      `the operators are ${Object.keys(OPERATORS).join(", ")}`,
    );
  }
  return operator(argument, place);
}

function inText(test: (value: string) => boolean): Test {
  return (value) => typeof value === "string" && test(value);
}

function textOf(argument: unknown, place: readonly string[]): string {
  if (typeof argument === "string") return argument;
  throw invalidPattern(place, "the operator takes a text", 'write it like { prefix: "a" }');
}

function affix(argument: unknown, place: readonly string[], which: "prefix" | "suffix"): Test {
  if (typeof argument === "object" && argument !== null && !Array.isArray(argument)) {
    const [member, second] = Object.entries(argument);
    if (member?.[0] !== "equals-ignore-case" || second !== undefined) {
      throw invalidPattern(
        place,
        `${which} takes a text`,
        `write { ${which}: "a" } or { ${which}: { "equals-ignore-case": "a" } }`,
      );
    }
    return inText(folded(textOf(member[1], place))[which]);
  }
  const text = textOf(argument, place);
  return inText(which === "prefix" ? (value) => value.startsWith(text) : (value) => value.endsWith(text));
}

const COMPARISONS: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  "=": (value, bound) => value === bound,
  "<": (value, bound) => value < bound,
  "<=": (value, bound) => value <= bound,
  ">": (value, bound) => value > bound,
  ">=": (value, bound) => value >= bound,
};

/** One comparison, or a bottom and then a top above it. */
function numeric(argument: unknown, place: readonly string[]): Test {
  const wrong = (message: string): Error =>
    invalidPattern(place, message, 'write { numeric: [">", 0] } or { numeric: [">=", 0, "<", 100] }');
  if (!Array.isArray(argument) || (argument.length !== 2 && argument.length !== 4)) {
    throw wrong("numeric takes one or two comparisons");
  }
  const comparisons = [argument.slice(0, 2), argument.slice(2)]
    .filter(({ length }) => length > 0)
    .map(([sign, bound]) => {
      const compare = typeof sign === "string" && Object.hasOwn(COMPARISONS, sign) ? COMPARISONS[sign] : undefined;
      if (compare === undefined) throw wrong(`there is no comparison ${JSON.stringify(sign)}`);
      if (typeof bound !== "number" || !Number.isFinite(bound)) throw wrong("a comparison takes a number");
      return { sign: sign as string, bound, compare };
    });
  const [bottom, top] = comparisons;
  if (bottom !== undefined && top !== undefined) {
    if (!bottom.sign.startsWith(">") || !top.sign.startsWith("<"))
      throw wrong("of two comparisons the first is > or >=, the second < or <=");
    if (bottom.bound >= top.bound) throw wrong("the range is empty");
  }
  return (value) =>
    typeof value === "number" &&
    Number.isFinite(value) &&
    comparisons.every(({ bound, compare }) => compare(value, bound));
}

/** What makes the test of one text that a value must not pass. */
const BUT: Readonly<Record<string, (text: string, place: readonly string[]) => (value: string) => boolean>> = {
  prefix: (text) => (value) => value.startsWith(text),
  suffix: (text) => (value) => value.endsWith(text),
  "equals-ignore-case": (text) => folded(text).equals,
  wildcard: parseWildcard,
};

/** True for every value that is there and is not the thing, of whatever type. */
function anythingBut(argument: unknown, place: readonly string[]): Test {
  if (typeof argument === "object" && argument !== null && !Array.isArray(argument)) {
    const [member, second] = Object.entries(argument);
    const make =
      member !== undefined && second === undefined && Object.hasOwn(BUT, member[0]) ? BUT[member[0]] : undefined;
    if (member === undefined || make === undefined) {
      throw invalidPattern(
        place,
        "anything-but cannot take this",
        `write a value, a list, or one of ${Object.keys(BUT).join(", ")}`,
      );
    }
    const [name, texts] = member;
    const excluded = listOf(texts, place).map((text) => {
      if (text === "" && (name === "prefix" || name === "suffix")) {
        throw invalidPattern(place, `every text has the ${name} ""`, "leave it out");
      }
      return make(textOf(text, place), place);
    });
    return (value) => typeof value !== "string" || !excluded.some((test) => test(value));
  }
  const excluded = new Set(listOf(argument, place));
  const types = new Set([...excluded].map((value) => typeof value));
  const [type] = types;
  if (types.size !== 1 || (type !== "string" && type !== "number")) {
    throw invalidPattern(
      place,
      "anything-but takes texts or numbers, not both",
      'write { "anything-but": ["a", "b"] }',
    );
  }
  if (![...excluded].every((value) => typeof value === "string" || Number.isFinite(value))) {
    throw invalidPattern(place, "a number is out of range", "write one that a double holds");
  }
  return (value) => !excluded.has(value);
}

function listOf(argument: unknown, place: readonly string[]): readonly unknown[] {
  const list: readonly unknown[] = Array.isArray(argument) ? argument : [argument];
  if (list.length === 0) throw invalidPattern(place, "an empty list excludes nothing", "name what is excluded");
  return list;
}
