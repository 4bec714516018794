// Texts with `*` for any run of characters, matched in one pass.

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
