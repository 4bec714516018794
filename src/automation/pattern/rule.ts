// One alternative of a pattern: clauses that must all hold, with elements of arrays that go together.

import { type Choice, NOTHING_CHOSEN, narrow } from "./choices.ts";
import type { Clause } from "./clause.ts";
import type { Leaf, Leaves } from "./event-leaves.ts";
import { type Paths, prefixesOf } from "./paths.ts";
import type { Work } from "./test.ts";

/** A clause with what it takes to hold an event against it. */
interface RuleClause {
  readonly clause: Clause;
  /** The field's number. */
  readonly field: number;
  /** Paths of arrays that hold this field and a later one of the rule. */
  readonly kept: ReadonlySet<string>;
}

/** Clauses in the order in which they are looked at: by their paths' UTF-16 units, as the original does. */
export type Rule = readonly RuleClause[];

export function ruleOf(clauses: readonly Clause[], { fields }: Paths): Rule {
  const sorted = [...clauses].sort((a, b) => (a.path < b.path ? -1 : 1));
  return sorted.map((clause, at) => ({
    clause,
    field: fields.get(clause.path) as number,
    kept: new Set(sorted.slice(at + 1).flatMap(({ path }) => prefixesOf(path))),
  }));
}

/** Whether some choice of array elements satisfies all clauses. @throws PoisonError `PATTERN_AMBIGUOUS` */
export function matchesRule(rule: Rule, leaves: Leaves, work: Work): boolean {
  let choices = NOTHING_CHOSEN;
  for (const one of rule) {
    choices = choicesAfter(one, leaves, choices, work);
    if (choices.length === 0) return false;
  }
  return true;
}

/** The choices behind a clause; none where it does not hold. */
export function choicesAfter(
  { clause: { accepts, absent }, field, kept }: RuleClause,
  { of, places, depth, arrays }: Leaves,
  before: readonly Choice[],
  work: Work,
): readonly Choice[] {
  const leaves = of[field] as readonly Leaf[];
  if (places === 0) {
    // No arrays that bind: nothing to choose.
    const holds = leaves.some(({ value }) => accepts(value, work)) || (absent && leaves.length === 0);
    return holds ? NOTHING_CHOSEN : [];
  }
  const accepted = leaves.filter(({ value }) => accepts(value, work));
  const most = 10_000 + 2 * (depth + 2) * (places + 1);
  return narrow(before, { leaves, accepted, absent, kept, flat: arrays === 1, most }, work);
}
