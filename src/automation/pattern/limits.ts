// How large a pattern may be: it is read by recursion, and each event is held against all of it.

import { invalidPattern, memberOf } from "./invalid-pattern.ts";

const MOST_LEVELS = 64;
/** Names, values and operators. */
const MOST_PARTS = 4096;
const MOST_CHARACTERS = 65_536;

/** @param top the place of the pattern itself @throws ConfigError `PATTERN_INVALID` for one that is too deep or too large, or holds itself */
export function checkSize(pattern: unknown, top: string): void {
  let [parts, characters] = [0, 0];
  const waiting = [{ value: pattern, place: top, level: 1 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { value, place, level } = next;
    if (typeof value === "string") characters += value.length;
    if (characters > MOST_CHARACTERS) throw tooLarge(top, `more than ${MOST_CHARACTERS} characters`);
    if (typeof value !== "object" || value === null) continue;
    if (level > MOST_LEVELS) throw tooLarge(place, `deeper than ${MOST_LEVELS} levels`);
    for (const [name, member] of Object.entries(value)) {
      characters += name.length;
      parts++;
      if (name.split(".").length > MOST_LEVELS) throw tooLarge(place, `a name has more than ${MOST_LEVELS} parts`);
      if (parts > MOST_PARTS) throw tooLarge(top, `more than ${MOST_PARTS} names, values and operators`);
      const inside = Array.isArray(value) ? `${place}[${name}]` : memberOf(place, name);
      waiting.push({ value: member, place: inside, level: level + 1 });
    }
  }
}

function tooLarge(place: string, what: string): Error {
  return invalidPattern(place, what, "make two automations of it, or test the rest in the handler");
}
