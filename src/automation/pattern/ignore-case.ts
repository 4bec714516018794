// Comparison without regard to case, one UTF-16 unit of the pattern at a time.

/** What a text is compared with, regardless of case. */
interface Folded {
  readonly equals: (value: string) => boolean;
  readonly prefix: (value: string) => boolean;
  readonly suffix: (value: string) => boolean;
}

/**
 * Each unit of the pattern stands for its own lower and its own upper form, and for nothing else. Such a form may be longer
 * than the unit ("ß" has "SS"), so several places in the value can be reached at once.
 */
export function folded(text: string): Folded {
  const units = text.split("").map((unit) => [...new Set([unit.toLowerCase(), unit.toUpperCase()])]);
  const ends = (value: string): ReadonlySet<number> => {
    let reached: ReadonlySet<number> = new Set([0]);
    for (const forms of units)
      reached = step(reached, forms, (form, at) => (value.startsWith(form, at) ? at + form.length : -1));
    return reached;
  };
  const starts = (value: string): ReadonlySet<number> => {
    let reached: ReadonlySet<number> = new Set([value.length]);
    for (const forms of units.toReversed()) {
      reached = step(reached, forms, (form, at) => (value.endsWith(form, at) ? at - form.length : -1));
    }
    return reached;
  };
  return {
    equals: (value) => ends(value).has(value.length),
    prefix: (value) => ends(value).size > 0,
    suffix: (value) => starts(value).size > 0,
  };
}

function step(
  reached: ReadonlySet<number>,
  forms: readonly string[],
  next: (form: string, at: number) => number,
): ReadonlySet<number> {
  return new Set([...reached].flatMap((at) => forms.map((form) => next(form, at)).filter((place) => place >= 0)));
}
