// Texts with `*` for any run of characters, matched in one pass whatever the text and however many stars.

import { invalidPattern } from "./invalid-pattern.ts";
import type { TextTest, Work } from "./test.ts";

/**
 * The test of a whole text. `\*` and `\\` stand for the characters themselves.
 * Each part between two stars is looked for from where the one before ended: the first place is always the best one, so
 * nothing is ever tried again; and a part is found by Knuth, Morris and Pratt, which never goes back in the text.
 * @throws ConfigError for another escape, and for two stars side by side
 */
export function parseWildcard(text: string, place: string): TextTest {
  const [first = "", ...others] = partsOf(text, place);
  const last = others.pop();
  if (last === undefined) return (value) => value === first;
  const middle = others.map((part) => ({ part, borders: bordersOf(part) }));
  return (value, work) => {
    const end = value.length - last.length;
    if (end < first.length || !value.startsWith(first) || !value.endsWith(last)) return false;
    let at = first.length;
    for (const { part, borders } of middle) {
      at = endOf(part, borders, { value, from: at, to: end }, work);
      if (at < 0) return false;
    }
    return true;
  };
}

/** Behind the first place of `part` in a piece of the text; -1 where it is not. */
function endOf(
  part: string,
  borders: Uint32Array,
  { value, from, to }: { readonly value: string; readonly from: number; readonly to: number },
  work: Work,
): number {
  let found = 0;
  for (let at = from; at < to; at++) {
    work.steps++;
    const letter = value.charCodeAt(at);
    while (found > 0 && part.charCodeAt(found) !== letter) {
      work.steps++;
      found = borders[found - 1] as number;
    }
    if (part.charCodeAt(found) === letter) found++;
    if (found === part.length) return at + 1;
  }
  return -1;
}

/** For each length of the part's beginning: the longest one that it also ends with, itself aside. */
function bordersOf(part: string): Uint32Array {
  const borders = new Uint32Array(part.length);
  for (let at = 1, found = 0; at < part.length; at++) {
    while (found > 0 && part.charCodeAt(found) !== part.charCodeAt(at)) found = borders[found - 1] as number;
    if (part.charCodeAt(found) === part.charCodeAt(at)) found++;
    borders[at] = found;
  }
  return borders;
}

/** What stands before, between and after the stars. */
function partsOf(text: string, place: string): string[] {
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
