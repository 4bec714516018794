// Tests of texts: with `*` for any run of characters, matched in one pass; and without regard to case, one UTF-16 unit of
// the pattern at a time.

import { invalidPattern } from "./invalid-pattern.ts";

/**
 * The test of a whole text. `\*` and `\\` stand for the characters themselves.
 * Each part between two stars is looked for from where the one before ended: the first place is always the best one, so
 * nothing is ever tried again, however many stars there are.
 * @throws ConfigError for another escape, and for two stars side by side
 */
export function parseWildcard(text: string, place: readonly string[]): (value: string) => boolean {
  const [first = "", ...others] = partsOf(text, place);
  const last = others.pop();
  if (last === undefined) return (value) => value === first;
  return (value) => {
    const end = value.length - last.length;
    let at = first.length;
    if (!value.startsWith(first) || !value.endsWith(last)) return false;
    for (const part of others) {
      const found = value.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= end;
  };
}

/** What stands before, between and after the stars. */
function partsOf(text: string, place: readonly string[]): string[] {
  const parts: string[] = [""];
  const append = (letter: string): void => {
    parts[parts.length - 1] += letter;
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at);
    if (letter === "*") {
      if (text.charAt(at + 1) === "*")
        throw invalidPattern(place, "two stars side by side", "write one: it stands for any run");
      parts.push("");
    } else if (letter === "\\") {
      const next = text.charAt(++at);
      if (next !== "*" && next !== "\\") {
        throw invalidPattern(
          place,
          "a backslash escapes only * and itself",
          'write "\\\\\\\\" for a backslash in JSON',
        );
      }
      append(next);
    } else {
      append(letter);
    }
  }
  return parts;
}

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
