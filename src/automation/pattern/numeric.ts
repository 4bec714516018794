// Comparisons of numbers: one, or a bottom and then a top above it.

import { compare } from "./decimal.ts";
import { invalidPattern } from "./invalid-pattern.ts";
import { boundOf, compareTo } from "./number.ts";
import type { Test } from "./test.ts";

const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  "=": (order) => order === 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

/** What a text is here. */
export interface NumericTexts {
  /** Whether values that are texts are numbers. */
  readonly texts: boolean;
  /** Whether a bound may be one: for what a double does not hold. */
  readonly textBounds: boolean;
}

/**
 * @throws ConfigError `PATTERN_INVALID`, also for a range with nothing in it
 */
export function parseNumeric(argument: unknown, place: string, { texts, textBounds }: NumericTexts): Test {
  const wrong = (message: string): Error =>
    invalidPattern(place, message, 'write { numeric: [">", 0] } or { numeric: [">=", 0, "<", 100] }');
  if (!Array.isArray(argument) || (argument.length !== 2 && argument.length !== 4)) {
    throw wrong("numeric takes one or two comparisons");
  }
  const comparisons = [argument.slice(0, 2), argument.slice(2)]
    .filter(({ length }) => length > 0)
    .map(([sign, written]) => {
      const holds = typeof sign === "string" && Object.hasOwn(COMPARISONS, sign) ? COMPARISONS[sign] : undefined;
      if (holds === undefined) throw wrong(`there is no comparison ${JSON.stringify(sign)}`);
      const bound = boundOf(written, textBounds);
      if (bound === undefined) throw wrong("a comparison takes a number");
      return { sign: sign as string, bound, holds };
    });
  const [bottom, top] = comparisons;
  if (bottom !== undefined && top !== undefined) {
    if (!bottom.sign.startsWith(">") || !top.sign.startsWith("<"))
      throw wrong("of two comparisons the first is > or >=, the second < or <=");
    if (compare(bottom.bound.decimal, top.bound.decimal) >= 0) throw wrong("the range is empty");
  }
  return (value, work) =>
    comparisons.every(({ bound, holds }) => {
      const order = compareTo(value, bound, texts, work);
      return order !== undefined && holds(order);
    });
}
