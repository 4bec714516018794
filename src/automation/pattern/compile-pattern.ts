// A pattern in the form that events are held against, and the door that users come by.

import type { RowShape } from "./columns.ts";
import { leavesOf } from "./event-leaves.ts";
import { CHANGE_FIELDS, type EventShape, refuseNeverMatching } from "./event-shape.ts";
import { parsePattern } from "./parse-pattern.ts";
import { type Paths, pathsOf } from "./paths.ts";
import { matchesRule, type Rule, ruleOf } from "./rule.ts";
import type { Work } from "./test.ts";

export interface CompiledPattern {
  /** It matches where one of them does. */
  readonly rules: readonly Rule[];
  readonly paths: Paths;
}

/** @param place what errors call the pattern: `receipt: where` @throws ConfigError `PATTERN_INVALID` */
export function compile(pattern: unknown, shape: EventShape, place = ""): CompiledPattern {
  const alternatives = parsePattern(pattern, shape, place);
  refuseNeverMatching(alternatives, shape);
  const paths = pathsOf(alternatives.map((clauses) => clauses.map(({ path }) => path)));
  return { rules: alternatives.map((clauses) => ruleOf(clauses, paths)), paths };
}

/** @throws PoisonError `PATTERN_AMBIGUOUS` */
export function matches({ rules, paths }: CompiledPattern, event: unknown, work: Work = { steps: 0 }): boolean {
  if (!isEvent(event)) return false;
  const leaves = leavesOf(event, paths, work);
  return rules.some((rule) => matchesRule(rule, leaves, work));
}

/** Whether it is an object, as every event is. */
export function isEvent(event: unknown): event is object {
  return typeof event === "object" && event !== null && !Array.isArray(event);
}

/** The shape of events behind what a user says of their rows. */
export function shapeOf(row: RowShape | undefined): EventShape {
  return row === undefined ? {} : { fields: CHANGE_FIELDS, row };
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
 * @param options `columns`: what the columns of the rows are, by name. Then texts in columns that are `"number"` (numeric,
 * bigint) compare as numbers, and what can never match is refused: a column that there is not, a label that the enum lacks.
 * `open`: a row may have other columns too
 * @throws ConfigError `PATTERN_INVALID` that names the place in the pattern. The result throws a PoisonError
 * `PATTERN_AMBIGUOUS` for an event that spells one path in several ways and whose arrays combine in too many
 */
export function compilePattern(pattern: unknown, options?: RowShape): (event: unknown) => boolean {
  const compiled = compile(pattern, shapeOf(options));
  return (event) => matches(compiled, event);
}
