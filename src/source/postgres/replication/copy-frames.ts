// Takes the frames of the log out of the socket's bytes, ahead of the driver's parser, which would merge each of them
// whole: a frame goes straight to its place in the queue, and one that is too large is never held.

import { FrameCutter } from "./cut-frame.ts";
import type { FrameQueue } from "./frame-queue.ts";

export interface CopyFramesOptions {
  readonly frames: FrameQueue;
  /** The most bytes of a frame; a larger one is cut. */
  readonly maxBytes: number;
  /** Messages that are none of the log, in order, in pieces of any size: the driver's. */
  readonly pass: (bytes: Buffer) => void;
  /** A whole frame has been put into the queue; it stands at `from`. Must not throw. */
  readonly taken: (bytes: Buffer, from: number, length: number) => void;
  /** The bytes are not what the protocol says. Must not throw. */
  readonly malformed: () => void;
}

/** Code and length; the length counts itself. */
const HEADER_BYTES = 5;
const LENGTH_BYTES = 4;
const COPY_DATA = 0x64;

export class CopyFrames {
  readonly #options: CopyFramesOptions;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  /** How much has come of a header that came in pieces. */
  #headerBytes = 0;
  #maxBytes: number;
  /** What is still to come of the message under way. */
  #left = 0;
  /** Where it goes: a place in the queue, a cutter, to the driver, or nowhere. */
  #place: Buffer | undefined;
  #cutter: FrameCutter | undefined;
  #passing = false;

  constructor(options: CopyFramesOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes;
  }

  /** From now on frames are dropped; the driver goes on getting what is its own. */
  discard(): void {
    this.#maxBytes = -1;
    this.#cutter = undefined;
  }

  /** Bytes as they come from the socket, from the beginning of a message on. */
  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        at = this.#continue(chunk, at);
      } else if (this.#headerBytes === 0 && chunk.length - at >= HEADER_BYTES) {
        at = this.#begin(chunk, at + HEADER_BYTES, chunk[at] as number, chunk.readUInt32BE(at + 1));
      } else {
        const end = Math.min(at + HEADER_BYTES - this.#headerBytes, chunk.length);
        this.#headerBytes += chunk.copy(this.#header, this.#headerBytes, at, end);
        at = end;
        if (this.#headerBytes < HEADER_BYTES) return;
        this.#headerBytes = 0;
        at = this.#begin(chunk, at, this.#header[0] as number, this.#header.readUInt32BE(1));
      }
    }
  }

  /** A message of this code begins at `at`. Returns how far the chunk was read. */
  #begin(chunk: Buffer, at: number, code: number, lengthAndItself: number): number {
    const length = lengthAndItself - LENGTH_BYTES;
    if (length < 0) {
      this.#left = Number.POSITIVE_INFINITY; // nothing behind it can be told apart: to nowhere
      this.#passing = false;
      this.#options.malformed();
      return chunk.length;
    }
    if (code !== COPY_DATA) {
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      header[0] = code;
      header.writeUInt32BE(lengthAndItself, 1);
      this.#options.pass(header);
      this.#passing = true;
      this.#left = length;
      return at;
    }
    this.#passing = false;
    const end = at + length;
    if (length > this.#maxBytes) {
      this.#cutter = this.#maxBytes < 0 ? undefined : new FrameCutter();
      this.#left = length;
    } else if (end <= chunk.length) {
      this.#options.frames.push(chunk, at, end);
      this.#options.taken(chunk, at, length);
      return end;
    } else {
      this.#place = this.#options.frames.open(length);
      this.#left = length;
    }
    return at;
  }

  #continue(chunk: Buffer, at: number): number {
    const end = Math.min(at + this.#left, chunk.length);
    const place = this.#place;
    if (this.#passing) this.#options.pass(chunk.subarray(at, end));
    else if (place !== undefined) chunk.copy(place, place.length - this.#left, at, end);
    else this.#cutter?.add(chunk, at, end);
    this.#left -= end - at;
    if (this.#left === 0) this.#end();
    return end;
  }

  #end(): void {
    const { frames, taken } = this.#options;
    const place = this.#place;
    const cut = this.#cutter?.end();
    this.#place = undefined;
    this.#cutter = undefined;
    if (place !== undefined) {
      frames.close();
      taken(place, 0, place.length);
    } else if (cut !== undefined) {
      frames.push(cut);
      taken(cut, 0, cut.length);
    }
  }
}
