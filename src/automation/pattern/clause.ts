// What a pattern says of one field: the list of what it may be.

import { canonicalAddress } from "./cidr.ts";
import { type Condition, type ItemContext, parseCondition } from "./condition.ts";
import { oneOf } from "./equality.ts";
import { invalidPattern } from "./invalid-pattern.ts";
import type { Test } from "./test.ts";

/** A field, and what it may be. */
export interface Clause {
  /** The field's names, joined by dots. */
  readonly path: string;
  /** Where in the pattern it stands: its path, with the branches of `$or`. */
  readonly place: string;
  /** The list as it is written. */
  readonly list: readonly unknown[];
  /** Whether one of the field's values may be this. */
  readonly accepts: Test;
  /** The field may also be absent. */
  readonly absent: boolean;
  /** The texts that it may be, where it can be nothing else. */
  readonly texts: readonly string[] | undefined;
}

/** @throws ConfigError `PATTERN_INVALID` */
export function parseClause(list: readonly unknown[], path: string, field: ItemContext): Clause {
  const { place, kind } = field;
  if (list.length === 0)
    throw invalidPattern(place, "an empty list matches nothing", "say what it may be, or leave it out");
  const conditions = Array.from(list, (item, nth) => parseCondition(item, { ...field, place: `${place}[${nth}]` }));
  const values = conditions.flatMap((one) => ("equals" in one ? [one.equals] : []));
  return {
    path,
    place,
    list,
    accepts: anyOf(conditions, values, kind === "number"),
    absent: conditions.some((one) => "absent" in one),
    texts: textsOf(values, conditions.length),
  };
}

function anyOf(
  conditions: readonly Condition[],
  values: readonly (string | number | boolean | null)[],
  numericColumn: boolean,
): Test {
  const equal = values.length > 0 ? [oneOf(values, { numericColumn, addresses: !numericColumn })] : [];
  const tests = [...equal, ...conditions.flatMap((one) => ("test" in one ? [one.test] : []))];
  const [only, second] = tests;
  if (only !== undefined && second === undefined) return only;
  return (value, work) => tests.some((test) => test(value, work));
}

/** Undefined where one that is no text, or the same address written otherwise, may match too. */
function textsOf(values: readonly unknown[], conditions: number): readonly string[] | undefined {
  const texts = values.filter((value) => typeof value === "string");
  return texts.length === conditions && !texts.some(canonicalAddress) ? texts : undefined;
}
