// A line of COPY's text format, read in place: for each column whether it is null, and where its text stands.

import { PoisonError } from "../../../errors.ts";
import { NULL, TEXT, type Tuple } from "../decode/tuple.ts";

const TAB = 0x09;
const BACKSLASH = 0x5c;
/** `\N` */
const NULL_LETTER = 0x4e;

/** What a letter behind a backslash stands for; any other stands for itself. The server writes no other escapes. */
const ESCAPED = new Uint8Array(256).map((_, byte) => byte);
for (const [letter, char] of ["b\b", "f\f", "n\n", "r\r", "t\t", "v\v"]) {
  ESCAPED[(letter as string).charCodeAt(0)] = (char as string).charCodeAt(0);
}

/**
 * Values that have escapes are written anew over the line itself, which only becomes shorter.
 * @throws PoisonError when it has another number of columns
 */
export function readLine(line: Buffer, tuple: Tuple, columns: number): void {
  const end = line.length - 1; // its newline
  let column = 0;
  let from = 0;
  while (from <= end && column < columns) {
    let to = line.indexOf(TAB, from);
    if (to < 0) to = end;
    tuple.from[column] = from;
    tuple.to[column] = to;
    tuple.kinds[column] = TEXT;
    if (line[from] === BACKSLASH && to === from + 2 && line[from + 1] === NULL_LETTER) tuple.kinds[column] = NULL;
    column++;
    from = to + 1;
  }
  if (column !== columns || from <= end)
    throw new PoisonError("FRAME_MALFORMED", "a row that is copied has another number of columns than its table");
  tuple.count = columns;
  const first = line.indexOf(BACKSLASH);
  if (first < 0) return;
  for (let nth = 0; nth < columns; nth++) if ((tuple.to[nth] as number) > first) takeEscapes(line, tuple, nth);
}

function takeEscapes(line: Buffer, tuple: Tuple, nth: number): void {
  if (tuple.kinds[nth] === NULL) return;
  const end = tuple.to[nth] as number;
  let at = line.indexOf(BACKSLASH, tuple.from[nth]);
  if (at < 0 || at >= end) return;
  let out = at;
  while (at < end) {
    let byte = line[at++] as number;
    if (byte === BACKSLASH) byte = ESCAPED[line[at++] as number] as number;
    line[out++] = byte;
  }
  tuple.to[nth] = out;
}
