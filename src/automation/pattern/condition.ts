// One item of a pattern's list: a plain value, or an operator with its argument.

import type { ColumnKind } from "../../event/column-kind.ts";
import { anythingBut } from "./anything-but.ts";
import { parseCidr } from "./cidr.ts";
import { isLabels } from "./columns.ts";
import { folded } from "./ignore-case.ts";
import { invalidPattern } from "./invalid-pattern.ts";
import { boundOf } from "./number.ts";
import { parseNumeric } from "./numeric.ts";
import type { Test, TextTest } from "./test.ts";
import { parseWildcard } from "./wildcard.ts";

/** The place of an item, and what the values there are. */
export interface ItemContext {
  readonly place: string;
  readonly kind: ColumnKind;
  /** Whether the kind is known of the events alone, or will be: then it refuses nothing. */
  readonly learns: boolean;
}

/** A plain value, a test of a value that is there, or that the field is not there. */
export type Condition =
  | { readonly equals: string | number | boolean | null }
  | { readonly test: Test }
  | { readonly absent: true };

/** Reads an operator's argument. @throws ConfigError */
type Operator = (argument: unknown, context: ItemContext) => Condition;

/** Operators that only a text can pass. */
const TEXT_OPERATORS: Readonly<Record<string, (argument: unknown, place: string) => TextTest>> = {
  exactly: (argument, place) => {
    const text = textOf(argument, place);
    return (value) => value === text;
  },
  prefix: (argument, place) => affix(argument, place, "prefix"),
  suffix: (argument, place) => affix(argument, place, "suffix"),
  "equals-ignore-case": (argument, place) => folded(textOf(argument, place)).equals,
  wildcard: (argument, place) => parseWildcard(textOf(argument, place), place),
  cidr: (argument, place) => parseCidr(textOf(argument, place), place),
};

const OPERATORS: Readonly<Record<string, Operator>> = {
  ...Object.fromEntries(
    Object.entries(TEXT_OPERATORS).map(([name, parse]): [string, Operator] => [
      name,
      (argument, { place, kind, learns }) => {
        const test = parse(argument, place);
        const possible = learns || kind === "text" || kind === "json" || isLabels(kind);
        refuseUnless(possible, `${name} is for texts`, place, kind);
        return { test: (value, work) => typeof value === "string" && test(value, work) };
      },
    ]),
  ),
  numeric: (argument, { place, kind, learns }) => {
    const test = parseNumeric(argument, place, { texts: kind === "number", textBounds: kind === "number" || learns });
    refuseUnless(kind === "number" || kind === "json", "numeric is for numbers", place, kind);
    return { test };
  },
  exists: (argument, { place }) => {
    if (typeof argument !== "boolean") throw invalidPattern(place, "exists is true or false", "write { exists: true }");
    return argument ? { test: () => true } : { absent: true };
  },
  "anything-but": (argument, { place, kind }) => ({ test: anythingBut(argument, place, kind === "number") }),
};

/** Names of operators, for whoever has to tell them from names of fields. */
export const OPERATOR_NAMES: readonly string[] = Object.keys(OPERATORS);

/** @throws ConfigError `PATTERN_INVALID`, also for what no value of the column can be */
export function parseCondition(item: unknown, context: ItemContext): Condition {
  const { place } = context;
  if (item === null || typeof item === "boolean" || typeof item === "number" || typeof item === "string") {
    refuseImpossible(item, context);
    return { equals: item };
  }
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
    throw invalidPattern(place, `there is no operator "${name}"`, `the operators are ${OPERATOR_NAMES.join(", ")}`);
  }
  return operator(argument, context);
}

function refuseImpossible(item: string | number | boolean | null, { place, kind, learns }: ItemContext): void {
  if (Number.isNaN(item)) throw invalidPattern(place, "NaN equals nothing", "leave it out");
  if (item === null || kind === "json" || learns) return;
  if (isLabels(kind)) {
    if (typeof item === "string" && kind.includes(item)) return;
    throw invalidPattern(
      place,
      `${JSON.stringify(item)} is no label of the column's type`,
      `the labels are ${kind.join(", ")}; where the database has others, run \`millrace types\` again`,
    );
  }
  const possible =
    kind === "number"
      ? boundOf(item, true) !== undefined || NO_NUMBERS.has(item)
      : typeof item === (kind === "text" ? "string" : kind);
  refuseUnless(possible, `${JSON.stringify(item)} is none of its values`, place, kind);
}

/** Values of numeric columns that are no numbers: as Postgres writes them, and as floating point columns have them. */
const NO_NUMBERS: ReadonlySet<unknown> = new Set(["NaN", "Infinity", "-Infinity"]);

function refuseUnless(possible: boolean, why: string, place: string, kind: ColumnKind): void {
  if (possible) return;
  const column = typeof kind === "string" ? `a ${kind} column` : isLabels(kind) ? "an enum" : "an object";
  throw invalidPattern(place, `it can never match: ${why}, and this is ${column}`, "correct it, or leave it out");
}

function textOf(argument: unknown, place: string): string {
  if (typeof argument === "string") return argument;
  throw invalidPattern(place, "the operator takes a text", 'write it like { prefix: "a" }');
}

function affix(argument: unknown, place: string, which: "prefix" | "suffix"): TextTest {
  if (typeof argument === "object" && argument !== null && !Array.isArray(argument)) {
    const [member, second] = Object.entries(argument);
    if (member?.[0] !== "equals-ignore-case" || second !== undefined) {
      throw invalidPattern(
        place,
        `${which} takes a text`,
        `write { ${which}: "a" } or { ${which}: { "equals-ignore-case": "a" } }`,
      );
    }
    return folded(textOf(member[1], place))[which];
  }
  const text = textOf(argument, place);
  return which === "prefix" ? (value) => value.startsWith(text) : (value) => value.endsWith(text);
}
