// Numbers of patterns and of events. A number of JSON is what its double prints; a column's may be a text of any length.

import { canonical, compare, type Decimal, decimalOf } from "./decimal.ts";
import type { Value, Work } from "./test.ts";

/** Every decimal of so many digits has a double of its own, and doubles keep their order. */
const EXACT_DIGITS = 15;

/** A number that values are compared with. */
export interface Bound {
  readonly double: number;
  readonly decimal: Decimal;
  /** Whether the double stands for it: it was one, or is short enough. */
  readonly isDouble: boolean;
}

/**
 * @param numericColumn whether a text may be a number here
 * @returns undefined for what is no number, or one that a double does not hold
 */
export function boundOf(written: unknown, numericColumn: boolean): Bound | undefined {
  if (typeof written === "number") {
    const decimal = Number.isFinite(written) ? decimalOf(String(written)) : undefined;
    return decimal && { double: written, decimal, isDouble: true };
  }
  const decimal = numericColumn && typeof written === "string" ? decimalOf(written) : undefined;
  return decimal && { double: Number(written), decimal, isDouble: decimal.digits.length <= EXACT_DIGITS };
}

/**
 * The value against the bound: below 0, 0, above 0; undefined for a value that is no number.
 * @param numericColumn whether a text may be a number here: by the column's type, never by the text
 */
export function compareTo(value: Value, bound: Bound, numericColumn: boolean, work: Work): number | undefined {
  if (typeof value === "number" && bound.isDouble) return Number.isFinite(value) ? value - bound.double : undefined;
  const decimal = numberOf(value, numericColumn, work);
  return decimal && compare(decimal, bound.decimal);
}

/** The same text for the same number. */
export function numberKey(value: Value, numericColumn: boolean, work: Work): string | undefined {
  const decimal = numberOf(value, numericColumn, work);
  return decimal && canonical(decimal);
}

function numberOf(value: Value, numericColumn: boolean, work: Work): Decimal | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? decimalOf(String(value)) : undefined;
  if (typeof value !== "bigint" && !(numericColumn && typeof value === "string")) return undefined;
  const text = String(value);
  work.steps += text.length;
  return decimalOf(text);
}
