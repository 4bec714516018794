// Reads a pattern into its alternatives, and refuses what could not mean what its author thinks.

import { type Condition, parseCondition } from "./condition.ts";
import { leavesOf, wantedPaths } from "./event-leaves.ts";
import { invalidPattern } from "./invalid-pattern.ts";
import { type Field, makeRule, matchesRule, type Rule } from "./rule.ts";

type Conditions = ReadonlyMap<string, readonly Condition[]>;

/** Alternatives grow by multiplication where several `$or` stand side by side. */
const MOST_ALTERNATIVES = 1000;

/** Names that a field cannot have below `$or`: there they are taken for an operator that is out of place. */
const RESERVED_BELOW_OR = new Set(
  `exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr < <= = > >= regex not-wildcard
  not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range ip-address-in-range`.split(
    /\s+/,
  ),
);

/** @throws ConfigError `PATTERN_INVALID` */
function parsePattern(pattern: unknown): readonly Rule[] {
  const alternatives = readFields(pattern, [], [new Map()], false);
  return alternatives.map((conditions) =>
    makeRule(new Map([...conditions].map(([path, some]) => [path, fieldOf(some)]))),
  );
}

/** The alternatives so far, each with these fields too; a path that comes again replaces what was said of it. */
function readFields(
  pattern: unknown,
  path: readonly string[],
  before: readonly Conditions[],
  belowOr: boolean,
): readonly Conditions[] {
  if (typeof pattern !== "object" || pattern === null || Array.isArray(pattern)) {
    throw invalidPattern(path, "expected an object", 'write it like an event: { after: { status: ["paid"] } }');
  }
  const members = Object.entries(pattern);
  if (members.length === 0) throw invalidPattern(path, "is empty", "name at least one field, or leave it out");
  let alternatives = before;
  for (const [name, value] of members) {
    const place = [...path, name];
    if (name === "$or") {
      alternatives = readOr(value, path, alternatives);
    } else if (belowOr && RESERVED_BELOW_OR.has(name)) {
      throw invalidPattern(
        place,
        "an operator stands where a field's name belongs",
        `write ["..."] or [{ "${name}": ... }]`,
      );
    } else if (Array.isArray(value)) {
      const conditions = readList(value, place);
      alternatives = alternatives.map((one) => new Map([...one, [place.join("."), conditions]]));
    } else if (typeof value === "object" && value !== null) {
      alternatives = readFields(value, place, alternatives, belowOr);
    } else {
      throw invalidPattern(place, "expected a list of what it may be", `write [${JSON.stringify(value) ?? "..."}]`);
    }
  }
  return alternatives;
}

function readOr(value: unknown, path: readonly string[], before: readonly Conditions[]): readonly Conditions[] {
  if (!Array.isArray(value) || value.length < 2) {
    throw invalidPattern([...path, "$or"], "expected a list of two patterns or more", "write $or: [{ ... }, { ... }]");
  }
  const alternatives = value.flatMap((branch: unknown) => readFields(branch, path, before, true));
  if (alternatives.length > MOST_ALTERNATIVES) {
    throw invalidPattern(
      [...path, "$or"],
      `makes more than ${MOST_ALTERNATIVES} alternatives`,
      "put values into one list instead of $or, or make two automations of it",
    );
  }
  return alternatives;
}

function readList(list: readonly unknown[], place: readonly string[]): readonly Condition[] {
  if (list.length === 0)
    throw invalidPattern(place, "an empty list matches nothing", "say what it may be, or leave it out");
  return list.map((item) => parseCondition(item, place));
}

function fieldOf(conditions: readonly Condition[]): Pick<Field, "accepts" | "absent"> {
  const tests = conditions.filter((condition) => condition !== "absent");
  const [only] = tests;
  return {
    accepts: tests.length === 1 && only !== undefined ? only : (value) => tests.some((test) => test(value)),
    absent: conditions.includes("absent"),
  };
}

/**
 * Compiles a pattern once; the result tells of each event whether it matches.
 *
 * A pattern has the shape of an event. A list holds what a field may be: a text, a number, a boolean, null, or one of
 * `{ prefix }` `{ suffix }` `{ "equals-ignore-case" }` `{ wildcard }` `{ "anything-but" }` `{ numeric }` `{ cidr }`
 * `{ exists }`. All fields must match; `$or` takes alternatives. Fields of objects in one array must come from one element.
 * The time taken grows with the size of the event, not with the number of stars in a wildcard.
 *
 * @param pattern as JSON gives it: `{ after: { status: ["paid"], total: [{ numeric: [">", 100] }] } }`
 * @throws ConfigError `PATTERN_INVALID` that names the place in the pattern
 */
export function compilePattern(pattern: unknown): (event: unknown) => boolean {
  const rules = parsePattern(pattern);
  const wanted = wantedPaths(rules.flatMap((rule) => rule.map((field: Field) => field.path)));
  return (event) => {
    const leaves = leavesOf(event, wanted);
    return rules.some((rule) => matchesRule(rule, leaves));
  };
}
