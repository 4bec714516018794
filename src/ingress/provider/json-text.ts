// JSON as bytes: checked strictly, and cut at its members and elements, without building a value and without writing one.

import { isUtf8 } from "node:buffer";
import { pointerParts } from "../../event/json-pointer.ts";

/** Where a value's text stands in its bytes, without the spaces around it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What a body may be nested: far above what people write, and far below what breaks whoever reads it recursively. */
const MAX_DEPTH = 1000;

/** One half of a surrogate pair without the other. */
const halfPair = /\p{Surrogate}/u;

const MALFORMED = -1;
const TOO_DEEP = -2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const MINUS = 0x2d;

/**
 * The one value that the bytes are, as RFC 8259 has it: UTF-8 without a byte order mark, nothing behind it. What `JSON.parse`
 * takes is taken, but for what is nested deeper than a thousand.
 */
export function readJson(bytes: Buffer): Span | "malformed" | "deep" {
  if (!isUtf8(bytes)) return "malformed";
  const from = skipSpace(bytes, 0);
  const to = skipValue(bytes, from);
  if (to === TOO_DEEP) return "deep";
  if (to === MALFORMED || skipSpace(bytes, to) !== bytes.length) return "malformed";
  return { from, to };
}

/** The elements of an array, each with its own text; undefined when the value is none. @param value of `readJson` */
export function elementsOf(bytes: Buffer, value: Span): Span[] | undefined {
  if (bytes[value.from] !== OPEN_ARRAY) return undefined;
  const elements: Span[] = [];
  for (let at = skipSpace(bytes, value.from + 1); bytes[at] !== CLOSE_ARRAY; ) {
    const to = skipValue(bytes, at);
    elements.push({ from: at, to });
    at = skipSpace(bytes, to);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return elements;
}

/** Whether a value is an object. */
export function isObject(bytes: Buffer, { from }: Span): boolean {
  return bytes[from] === OPEN_OBJECT;
}

/**
 * The value at an RFC 6901 pointer; undefined where there is none. Of a doubled member the last one counts, as for `JSON.parse`:
 * the id and the type are those of the body that a handler sees.
 */
export function valueAt(bytes: Buffer, value: Span, pointer: string): Span | undefined {
  let at: Span | undefined = value;
  for (const name of pointerParts(pointer)) {
    if (at === undefined) return undefined;
    at = isObject(bytes, at) ? memberOf(bytes, at, name) : elementAt(bytes, at, name);
  }
  return at;
}

/**
 * A string's value, or a number's own text, so that no digit is lost. Undefined for all else, for the empty string, and for text
 * with half a surrogate pair, of which UTF-8 cannot tell one from another.
 */
export function textAt(bytes: Buffer, value: Span, pointer: string): string | undefined {
  const at = valueAt(bytes, value, pointer);
  if (at === undefined) return undefined;
  const first = bytes[at.from] as number;
  if (first === MINUS || isDigit(first)) return bytes.toString("latin1", at.from, at.to);
  if (first !== QUOTE) return undefined;
  const text = stringOf(bytes, at);
  return text === "" || halfPair.test(text) ? undefined : text;
}

/** The same, but for strings alone. */
export function stringAt(bytes: Buffer, value: Span, pointer: string): string | undefined {
  const at = valueAt(bytes, value, pointer);
  return at !== undefined && bytes[at.from] === QUOTE ? textAt(bytes, at, "") : undefined;
}

function memberOf(bytes: Buffer, value: Span, name: string): Span | undefined {
  let found: Span | undefined;
  for (let at = skipSpace(bytes, value.from + 1); bytes[at] !== CLOSE_OBJECT; ) {
    const keyEnd = skipString(bytes, at);
    const key = { from: at, to: keyEnd };
    const from = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1);
    const to = skipValue(bytes, from);
    if (stringOf(bytes, key) === name) found = { from, to };
    at = skipSpace(bytes, to);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
  }
  return found;
}

function elementAt(bytes: Buffer, value: Span, index: string): Span | undefined {
  return /^(?:0|[1-9]\d{0,8})$/.test(index) ? elementsOf(bytes, value)?.[Number(index)] : undefined;
}

function stringOf(bytes: Buffer, { from, to }: Span): string {
  return JSON.parse(bytes.toString("utf8", from, to)) as string;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  for (; ; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
  }
}

/** The brackets that are open in `skipValue`, which never calls itself. */
const open = new Uint8Array(MAX_DEPTH);

/** Behind the value that begins here; below 0 when none does. Not recursive: what is open is one byte each. */
function skipValue(bytes: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  for (;;) {
    const first = bytes[at];
    let empty = false;
    if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
      if (depth === MAX_DEPTH) return TOO_DEEP;
      open[depth++] = first;
      at = skipSpace(bytes, at + 1);
      empty = bytes[at] === closing(first);
      if (!empty) {
        if (first === OPEN_OBJECT) at = skipKey(bytes, at);
        if (at < 0) return MALFORMED;
        continue;
      }
    } else {
      at = skipScalar(bytes, at, first);
      if (at < 0) return MALFORMED;
    }
    // A value has ended, or (empty) stands before its closing bracket.
    for (;;) {
      if (depth === 0) return at;
      at = skipSpace(bytes, at);
      const kind = open[depth - 1] as number;
      if (bytes[at] === closing(kind)) {
        depth--;
        at++;
        continue;
      }
      if (bytes[at] !== COMMA) return MALFORMED;
      at = skipSpace(bytes, at + 1);
      if (kind === OPEN_OBJECT) at = skipKey(bytes, at);
      if (at < 0) return MALFORMED;
      break;
    }
  }
}

/** `{` is two code points before `}`, and `[` before `]`. */
function closing(open: number): number {
  return open + 2;
}

/** Behind a member's name, its colon and the spaces around it. */
function skipKey(bytes: Buffer, from: number): number {
  const end = skipString(bytes, from);
  if (end < 0) return MALFORMED;
  const colon = skipSpace(bytes, end);
  return bytes[colon] === COLON ? skipSpace(bytes, colon + 1) : MALFORMED;
}

function skipScalar(bytes: Buffer, at: number, first: number | undefined): number {
  if (first === QUOTE) return skipString(bytes, at);
  if (first === 0x74) return skipWord(bytes, at, "true");
  if (first === 0x66) return skipWord(bytes, at, "false");
  if (first === 0x6e) return skipWord(bytes, at, "null");
  return skipNumber(bytes, at);
}

function skipWord(bytes: Buffer, at: number, word: string): number {
  const to = at + word.length;
  return bytes.toString("latin1", at, to) === word ? to : MALFORMED;
}

function skipString(bytes: Buffer, from: number): number {
  if (bytes[from] !== QUOTE) return MALFORMED;
  for (let at = from + 1; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at + 1;
    if (byte < 0x20) return MALFORMED;
    if (byte !== BACKSLASH) continue;
    at++;
    const escaped = String.fromCharCode(bytes[at] ?? 0);
    if (escaped === "u") {
      if (!/^[0-9a-fA-F]{4}$/.test(bytes.toString("latin1", at + 1, at + 5))) return MALFORMED;
      at += 4;
    } else if (!'"\\/bfnrt'.includes(escaped)) return MALFORMED;
  }
  return MALFORMED;
}

function skipNumber(bytes: Buffer, from: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from;
  const first = at;
  at = skipDigits(bytes, at);
  if (at === first || (bytes[first] === 0x30 && at > first + 1)) return MALFORMED;
  if (bytes[at] === 0x2e) {
    const digits = at + 1;
    at = skipDigits(bytes, digits);
    if (at === digits) return MALFORMED;
  }
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    const sign = bytes[at + 1];
    const digits = sign === 0x2b || sign === MINUS ? at + 2 : at + 1;
    at = skipDigits(bytes, digits);
    if (at === digits) return MALFORMED;
  }
  return at;
}

function skipDigits(bytes: Buffer, from: number): number {
  let at = from;
  while (isDigit(bytes[at])) at++;
  return at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
