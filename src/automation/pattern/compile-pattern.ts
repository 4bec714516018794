// Event patterns with the semantics of Amazon EventBridge: which events an automation wants, said as data.

import { leavesOf, wantedPaths } from "./event-leaves.ts";
import { parsePattern } from "./parse-pattern.ts";
import { type Field, matchesRule } from "./rule.ts";

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
