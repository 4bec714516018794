// Texts of the log in a database whose encoding leaves bytes undefined: the server sends them as they are kept, for it would end
// the stream at the first byte that it cannot convert, and they become UTF-8 here. All other databases' texts come as UTF-8.

import { BugError, PoisonError } from "../../../../errors.ts";
import { CUT, XLOG_HEADER_BYTES } from "../../replication/cut-frame.ts";
import { FrameReader } from "../frame-reader.ts";
import { DELETE, INSERT, MESSAGE, RELATION, TYPE, UPDATE, XLOG } from "../pgoutput-tags.ts";
import { TEXT, Tuple } from "../tuple.ts";
import { serverLetters } from "./server-letters.ts";

/** Stands where a frame of the log has its `w`: a row with a byte that is no letter. Postgres sends no such frame. */
export const UNCONVERTIBLE: number = 0x79;

const UNDEFINED = 0xfffd;
const LENGTH_BYTES = 4;
/** The most bytes of a letter in UTF-8: none of these encodings has one beyond U+FFFF. */
const MOST_BYTES = 3;

export class ServerText {
  /** The database's encoding, as Postgres names it. */
  readonly encoding: string;
  readonly #codes: Uint16Array;
  readonly #walk = new FrameReader();
  readonly #tuple = new Tuple();
  /** The frame anew, as far as `#done`. */
  #parts: Buffer[] = [];
  #done = 0;
  #isDefined = true;

  private constructor(encoding: string, letters: string) {
    this.encoding = encoding;
    this.#codes = Uint16Array.from({ length: 256 }, (_, byte) =>
      byte < 0x80 ? byte : letters.charCodeAt(byte - 0x80),
    );
  }

  /** Undefined where the server can convert every text. */
  static of(encoding: string): ServerText | undefined {
    const letters = serverLetters[encoding];
    return letters === undefined ? undefined : new ServerText(encoding, letters);
  }

  /** @throws BugError when the database could not hold such a text */
  encode(text: string): Buffer {
    return Buffer.from(
      Array.from(text, (letter) => {
        const byte = this.#codes.indexOf(letter.codePointAt(0) as number);
        if (byte < 0 || letter.charCodeAt(0) === UNDEFINED)
          throw new BugError("NAME_NOT_ENCODABLE", `a name has a letter that ${this.encoding} does not have`);
        return byte;
      }),
    );
  }

  /**
   * Puts the frame in UTF-8 into the reader, before its first byte. A row with a byte that is no letter stays as it is, marked
   * UNCONVERTIBLE; in a name U+FFFD stands for such a byte. The content of a logical message is bytes, and stays.
   */
  convert(reader: FrameReader): void {
    const { bytes, from, end } = reader;
    const walk = this.#walk;
    walk.reset(bytes, from, end);
    this.#parts = [];
    this.#done = from;
    this.#isDefined = true;
    try {
      const frame = walk.uint8();
      if (frame !== XLOG && frame !== CUT) return;
      walk.skip(XLOG_HEADER_BYTES - 1);
      if (!this.#texts(walk.uint8(), frame)) {
        bytes[from] = UNCONVERTIBLE;
        return;
      }
    } catch (error) {
      if (error instanceof PoisonError) return; // whoever decodes it says so
      throw error;
    }
    if (this.#parts.length === 0) return;
    const frame = Buffer.concat([...this.#parts, bytes.subarray(this.#done, end)]);
    reader.reset(frame, 0, frame.length);
  }

  /** @returns whether the message can be told */
  #texts(kind: number, frame: number): boolean {
    const walk = this.#walk;
    if (kind === MESSAGE) {
      walk.skip(9);
      this.#name();
    } else if (frame === CUT) {
      return true;
    } else if (kind === INSERT || kind === UPDATE || kind === DELETE) {
      walk.skip(4);
      while (walk.at < walk.end) this.#row();
      return this.#isDefined;
    } else if (kind === RELATION || kind === TYPE) {
      walk.skip(4);
      this.#name();
      this.#name();
      if (kind === RELATION) this.#columns();
    }
    return true;
  }

  /** Behind its identity. */
  #columns(): void {
    const walk = this.#walk;
    walk.skip(1);
    for (let left = walk.uint16(); left > 0; left--) {
      walk.skip(1);
      this.#name();
      walk.skip(8);
    }
  }

  #name(): void {
    const from = this.#walk.at;
    this.#walk.text();
    this.#text(from, this.#walk.at - 1, false);
  }

  /** With the tag before it. */
  #row(): void {
    const walk = this.#walk;
    const tuple = this.#tuple;
    walk.skip(1);
    const count = walk.uint16();
    walk.at -= 2;
    tuple.read(walk, count);
    for (let column = 0; column < tuple.count; column++)
      if (tuple.kinds[column] === TEXT) this.#text(tuple.from[column] as number, tuple.to[column] as number, true);
  }

  /** @param counted whether its length stands before it */
  #text(from: number, to: number, counted: boolean): void {
    const { bytes } = this.#walk;
    if (isAscii(bytes, from, to)) return;
    const text = this.#utf8(bytes, from, to);
    if (counted) {
      const length = Buffer.allocUnsafe(LENGTH_BYTES);
      length.writeUInt32BE(text.length);
      this.#parts.push(bytes.subarray(this.#done, from - LENGTH_BYTES), length, text);
    } else {
      this.#parts.push(bytes.subarray(this.#done, from), text);
    }
    this.#done = to;
  }

  #utf8(bytes: Buffer, from: number, to: number): Buffer {
    const text = Buffer.allocUnsafe(MOST_BYTES * (to - from));
    let at = 0;
    for (let index = from; index < to; index++) {
      const code = this.#codes[bytes[index] as number] as number;
      if (code === UNDEFINED) this.#isDefined = false;
      if (code < 0x80) {
        text[at++] = code;
        continue;
      }
      if (code < 0x800) {
        text[at++] = 0xc0 | (code >> 6);
      } else {
        text[at++] = 0xe0 | (code >> 12);
        text[at++] = 0x80 | ((code >> 6) & 0x3f);
      }
      text[at++] = 0x80 | (code & 0x3f);
    }
    return text.subarray(0, at);
  }
}

function isAscii(bytes: Buffer, from: number, to: number): boolean {
  for (let index = from; index < to; index++) if ((bytes[index] as number) >= 0x80) return false;
  return true;
}
