// Which clause of a pattern an event fails, and by what: the same compiled form as the match itself.

import { type Choice, NOTHING_CHOSEN } from "./choices.ts";
import type { RowShape } from "./columns.ts";
import { type CompiledPattern, compile, isEvent, matches, shapeOf } from "./compile-pattern.ts";
import { type Leaves, leavesOf } from "./event-leaves.ts";
import { choicesAfter, type Rule } from "./rule.ts";
import type { Value, Work } from "./test.ts";

/** How an event stands to one clause. */
export interface ClauseOutcome {
  /** Where in the pattern it is: `$or[1].after.status`. */
  readonly place: string;
  /** The field: `after.status`. */
  readonly path: string;
  /** What it may be, as the pattern has it. */
  readonly expected: readonly unknown[];
  /** What it is: its first values. */
  readonly found: readonly Value[];
  /**
   * `missing`: it has no value. `differs`: none of its values is what it may be. `elsewhere`: one is, but in another element of
   * an array than the clauses before it.
   */
  readonly outcome: "matches" | "missing" | "differs" | "elsewhere";
}

export interface PatternExplanation {
  readonly matches: boolean;
  /** How many ways to match the pattern has: one, and more with `$or`. */
  readonly alternatives: number;
  /** Of the alternative that matches, else of the one of which the fewest clauses fail. */
  readonly clauses: readonly ClauseOutcome[];
}

const MOST_VALUES = 10;

/**
 * Says of each clause of a pattern whether an event passes it.
 * @param options as for `compilePattern`
 * @throws ConfigError `PATTERN_INVALID`, PoisonError `PATTERN_AMBIGUOUS`
 */
export function explainPattern(pattern: unknown, event: unknown, options?: RowShape): PatternExplanation {
  return explain(compile(pattern, shapeOf(options)), event);
}

/** @throws PoisonError `PATTERN_AMBIGUOUS` */
export function explain(compiled: CompiledPattern, event: unknown): PatternExplanation {
  const { rules, paths } = compiled;
  const work: Work = { steps: 0 };
  const leaves = leavesOf(isEvent(event) ? event : {}, paths, work);
  let best: { readonly clauses: readonly ClauseOutcome[]; readonly failed: number } | undefined;
  for (const rule of rules) {
    const clauses = outcomesOf(rule, leaves, work);
    const failed = clauses.filter(({ outcome }) => outcome !== "matches").length;
    if (best === undefined || failed < best.failed) best = { clauses, failed };
  }
  return { matches: matches(compiled, event), alternatives: rules.length, clauses: best?.clauses ?? [] };
}

function outcomesOf(rule: Rule, leaves: Leaves, work: Work): readonly ClauseOutcome[] {
  let choices: readonly Choice[] = NOTHING_CHOSEN;
  return rule.map((one) => {
    const { place, path, list: expected } = one.clause;
    const values = (leaves.of[one.field] ?? []).map(({ value }) => value);
    const after = choicesAfter(one, leaves, choices, work);
    // Behind a clause that fails, the others are judged as if it were not there.
    if (after.length > 0) choices = after;
    const outcome =
      after.length > 0
        ? "matches"
        : values.length === 0
          ? "missing"
          : choicesAfter(one, leaves, NOTHING_CHOSEN, work).length > 0
            ? "elsewhere"
            : "differs";
    return { place, path, expected, found: values.slice(0, MOST_VALUES), outcome };
  });
}
