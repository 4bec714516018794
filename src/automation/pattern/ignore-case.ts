// Texts without regard to case, one UTF-16 unit of the pattern at a time, as the original has it.

import type { TextTest, Work } from "./test.ts";

/** What a text is compared with, regardless of case. */
export interface Folded {
  readonly equals: TextTest;
  readonly prefix: TextTest;
  readonly suffix: TextTest;
}

type Reached = ReadonlySet<number>;

/**
 * Each unit of the pattern stands for its own lower and its own upper form, and for nothing else. Such a form may be longer
 * than the unit (a sharp s has "SS"), so several places in the value can be reached at once; never more than three times the
 * pattern's length of them.
 */
export function folded(text: string): Folded {
  const units = text.split("").map((unit) => [...new Set([unit.toLowerCase(), unit.toUpperCase()])]);
  const backwards = units.toReversed();
  const ends = (value: string, work: Work): Reached =>
    reach(units, 0, work, (form, at) => (value.startsWith(form, at) ? at + form.length : -1));
  const starts = (value: string, work: Work): Reached =>
    reach(backwards, value.length, work, (form, at) => (value.endsWith(form, at) ? at - form.length : -1));
  return {
    equals: (value, work) => ends(value, work).has(value.length),
    prefix: (value, work) => ends(value, work).size > 0,
    suffix: (value, work) => starts(value, work).size > 0,
  };
}

function reach(
  units: readonly (readonly string[])[],
  from: number,
  work: Work,
  next: (form: string, at: number) => number,
): Reached {
  let reached: Reached = new Set([from]);
  for (const forms of units) {
    const after = new Set<number>();
    for (const at of reached) {
      for (const form of forms) {
        work.steps++;
        const place = next(form, at);
        if (place >= 0) after.add(place);
      }
    }
    if (after.size === 0) return after;
    reached = after;
  }
  return reached;
}
