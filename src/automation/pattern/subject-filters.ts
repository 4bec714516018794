// What of a pattern can be said in subjects: filters that let everything through that the pattern may match, and less else.

import { escapeToken } from "../../event/subject.ts";
import type { CompiledPattern } from "./compile-pattern.ts";
import type { Rule } from "./rule.ts";

/** Fields of a change that its subject has, in the subject's order. */
const TOKENS = ["source", "namespace", "collection", "op"] as const;

/** The values of the fields above, as tokens; `*` for any. */
type Filter = readonly string[];

/** What a consumer's filters should be at most. */
const MOST_FILTERS = 16;

/**
 * Subjects of changes that a pattern may match, all lanes: `cdc.shop.public.orders.updated.*`. Few, and no two of them take the
 * same subject, as a consumer's filters must be. What is between them is for the pattern itself.
 */
export function subjectFilters({ rules }: CompiledPattern): readonly string[] {
  let filters = disjoint(rules.flatMap(filtersOf));
  // What tells the least apart goes first.
  for (const token of [3, 2, 1, 0]) {
    if (filters.length <= MOST_FILTERS) break;
    filters = disjoint(filters.map((filter) => filter.with(token, "*")));
  }
  return filters.map((filter) => `cdc.${filter.join(".")}.*`).sort();
}

/** All combinations of what one alternative says of the fields; of too many the field with the most values is left open. */
function filtersOf(rule: Rule): readonly Filter[] {
  const values = TOKENS.map((name) => {
    const texts = rule.find(({ clause }) => clause.path === name)?.clause.texts;
    return texts === undefined ? ["*"] : [...new Set(texts.map(escapeToken))];
  });
  const count = (): number => values.reduce((product, { length }) => product * length, 1);
  while (count() > MOST_FILTERS) {
    const most = values.reduce((at, { length }, nth) => (length > (values[at]?.length ?? 0) ? nth : at), 0);
    values[most] = ["*"];
  }
  return values.reduce<readonly Filter[]>(
    (all, tokens) => all.flatMap((one) => tokens.map((token) => [...one, token])),
    [[]],
  );
}

/** Filters that take all that these take, and no two of which take the same: those that overlap become one that takes both. */
function disjoint(filters: readonly Filter[]): readonly Filter[] {
  const kept: Filter[] = [];
  for (const filter of filters) {
    let one = filter;
    for (
      let at = kept.findIndex((other) => overlap(one, other));
      at >= 0;
      at = kept.findIndex((other) => overlap(one, other))
    ) {
      const [other] = kept.splice(at, 1) as [Filter];
      one = one.map((token, nth) => (token === other[nth] ? token : "*"));
    }
    kept.push(one);
  }
  return kept;
}

function overlap(one: Filter, other: Filter): boolean {
  return one.every((token, nth) => token === "*" || other[nth] === "*" || token === other[nth]);
}
