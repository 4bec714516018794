// Writes JSON text as bytes into large arenas: the hot path makes no strings of values.

import { BugError } from "../errors.ts";

/** Large enough that a new one is rare, small enough that one late message does not hold much memory. */
const ARENA_BYTES = 512 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX = Buffer.from("0123456789abcdef");

/** 0: as it is; 1: `\u00xx`; else the letter behind the backslash. Exactly what JSON.stringify escapes. */
const ESCAPE = new Uint8Array(256).fill(1, 0, 0x20);
for (const [char, letter] of [
  ["\b", "b"],
  ["\t", "t"],
  ["\n", "n"],
  ["\f", "f"],
  ["\r", "r"],
  ['"', '"'],
  ["\\", "\\"],
] as const) {
  ESCAPE[char.charCodeAt(0)] = letter.charCodeAt(0);
}

/** Up to here a bound by the worst case costs less than counting; such a row wastes at most a few KiB of an arena. */
const SMALL_BYTES = 1024;
const WORST_ESCAPE = 6;

/**
 * Bytes that a JSON string of these bytes may need at most, without its quotes. Exact but for control characters.
 */
export function escapedBound(source: Uint8Array, from: number, to: number): number {
  if (to - from <= SMALL_BYTES) return (to - from) * WORST_ESCAPE;
  let extra = 0;
  for (let at = from; at < to; at++) {
    const how = ESCAPE[source[at] as number] as number;
    if (how !== 0) extra += how === 1 ? WORST_ESCAPE - 1 : 1;
  }
  return to - from + extra;
}

/** What was written is handed out as views, so an arena is never used again once it is full. */
export class JsonWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(ARENA_BYTES);
  at = 0;
  /** How far the row may reach. */
  #limit = 0;

  /** Makes room; call it before each row, with the most that the row can need. */
  reserve(size: number): void {
    // A large row has an arena to itself: small ones behind it would keep it for long.
    if (this.at + size > this.bytes.length || this.bytes.length !== ARENA_BYTES) {
      this.bytes = Buffer.allocUnsafeSlow(Math.max(ARENA_BYTES, size));
      this.at = 0;
    }
    this.#limit = this.at + size;
  }

  /** Makes room for what a value needs beyond the escaped bytes of its text: `bytes` may be another buffer behind it. */
  extra(size: number): void {
    this.#limit += size;
    if (this.#limit <= this.bytes.length) return;
    this.#mustFit();
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#limit, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }

  /** Sees to it that so many bytes fit behind what is written: for rows whose size is not known before. */
  room(size: number): void {
    const missing = this.at + size - this.#limit;
    if (missing > 0) this.extra(missing);
  }

  /** What stands from `start` to here. @throws BugError when more was written than reserved */
  view(start: number): Uint8Array {
    this.#mustFit();
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, this.at - start);
  }

  /** What is written behind the arena's end is dropped without a word: it has to be found before anything hides it. */
  #mustFit(): void {
    if (this.at > this.bytes.length) throw new BugError("ARENA_TOO_SMALL", "a row needed more room than was reserved");
  }

  byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  /** Finished JSON text. */
  literal(text: Uint8Array): void {
    this.copy(text, 0, text.length);
  }

  copy(source: Uint8Array, from: number, to: number): void {
    const bytes = this.bytes;
    let at = this.at;
    if (to - from > 64) {
      bytes.set(source.subarray(from, to), at);
      at += to - from;
    } else {
      for (let index = from; index < to; index++) bytes[at++] = source[index] as number;
    }
    this.at = at;
  }

  /** A string that needs no escapes. */
  quoted(source: Uint8Array, from: number, to: number): void {
    this.byte(QUOTE);
    this.copy(source, from, to);
    this.byte(QUOTE);
  }

  /** A string, escaped as JSON.stringify does it, so that lanes agree. */
  string(source: Uint8Array, from: number, to: number): void {
    const bytes = this.bytes;
    let at = this.at;
    bytes[at++] = QUOTE;
    for (let index = from; index < to; index++) {
      const value = source[index] as number;
      const how = ESCAPE[value] as number;
      if (how === 0) {
        bytes[at++] = value;
      } else {
        bytes[at++] = BACKSLASH;
        if (how === 1) {
          bytes[at++] = 0x75; // u
          bytes[at++] = 0x30;
          bytes[at++] = 0x30;
          bytes[at++] = HEX[value >>> 4] as number;
          bytes[at++] = HEX[value & 15] as number;
        } else {
          bytes[at++] = how;
        }
      }
    }
    bytes[at++] = QUOTE;
    this.at = at;
  }
}
