// What is not something: true for every value that is there and is not the thing, of whatever type.

import { oneOf } from "./equality.ts";
import { folded } from "./ignore-case.ts";
import { invalidPattern } from "./invalid-pattern.ts";
import { boundOf } from "./number.ts";
import type { Test, TextTest } from "./test.ts";
import { parseWildcard } from "./wildcard.ts";

/** What makes the test of one text that a value must not pass. */
const BUT: Readonly<Record<string, (text: string, place: string) => TextTest>> = {
  prefix: (text) => (value) => value.startsWith(text),
  suffix: (text) => (value) => value.endsWith(text),
  "equals-ignore-case": (text) => folded(text).equals,
  wildcard: parseWildcard,
};

/** @throws ConfigError `PATTERN_INVALID` */
export function anythingBut(argument: unknown, place: string, numericColumn: boolean): Test {
  if (typeof argument === "object" && argument !== null && !Array.isArray(argument)) return butTexts(argument, place);
  const excluded = listOf(argument, place);
  const types = new Set(excluded.map((value) => typeof value));
  const [type] = types;
  if (types.size !== 1 || (type !== "string" && type !== "number")) {
    throw invalidPattern(
      place,
      "anything-but takes texts or numbers, not both",
      'write { "anything-but": ["a", "b"] }',
    );
  }
  if (type === "number" && !excluded.every((value) => boundOf(value, false) !== undefined)) {
    throw invalidPattern(place, "a number is out of range", "write one that a double holds");
  }
  const test = oneOf(excluded as readonly (string | number)[], { numericColumn, addresses: false });
  return (value, work) => !test(value, work);
}

function butTexts(argument: object, place: string): Test {
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
    if (typeof text !== "string") throw invalidPattern(place, `${name} takes texts`, `write { ${name}: ["a", "b"] }`);
    if (text === "" && (name === "prefix" || name === "suffix")) {
      throw invalidPattern(place, `every text has the ${name} ""`, "leave it out");
    }
    return make(text, place);
  });
  return (value, work) => typeof value !== "string" || !excluded.some((test) => test(value, work));
}

function listOf(argument: unknown, place: string): readonly unknown[] {
  const list: readonly unknown[] = Array.isArray(argument) ? argument : [argument];
  if (list.length === 0) throw invalidPattern(place, "an empty list excludes nothing", "name what is excluded");
  return list;
}
