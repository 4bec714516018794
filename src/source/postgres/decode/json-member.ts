// Finds a member's text in a JSON object, so that no number in it loses a digit.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);

/**
 * A copy of the text of the object's own member of this name; of several the last one, as JSON.parse has it.
 * @param json valid JSON of an object, UTF-8
 */
export function memberText(json: Buffer, name: string): Buffer | undefined {
  let found: Buffer | undefined;
  let depth = 0;
  let start = 0;
  let member: string | undefined;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at] as number;
    if (byte === QUOTE) {
      at = stringEnd(json, at);
      continue;
    }
    if (OPEN.has(byte) && ++depth === 1) start = at + 1;
    else if (depth === 1 && byte === COLON) {
      member = JSON.parse(json.toString("utf8", start, at)) as string;
      start = at + 1;
    } else if (depth === 1 && (byte === COMMA || CLOSE.has(byte))) {
      if (member === name) found = Buffer.from(json.toString("utf8", start, at).trim());
      start = at + 1;
    }
    if (CLOSE.has(byte)) depth--;
  }
  return found;
}

/** Where the string that begins at `from` has its closing quote. */
function stringEnd(json: Buffer, from: number): number {
  let at = from + 1;
  for (; json[at] !== QUOTE && at < json.length; at++) if (json[at] === BACKSLASH) at++;
  return at;
}
