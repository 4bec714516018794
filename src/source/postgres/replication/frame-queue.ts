// Frames between the socket and the decoder: copied at once, for the socket's buffers are many and
// large, and bounded by bytes.

/** Several frames share one; a frame that is larger gets its own. */
const ARENA_BYTES = 256 * 1024;
const LENGTH_BYTES = 4;
/** As many as a full queue holds: arenas that were read through serve again, so that a steady stream leaves no garbage. */
const MAX_SPARE = 16;

interface Arena {
  readonly bytes: Buffer;
  read: number;
  written: number;
}

/**
 * A queue without an object a frame. `next` steps to a frame, which then stands at `[from, to)` of `bytes` until the
 * following `next`.
 */
export class FrameQueue {
  bytes: Buffer;
  from = 0;
  to = 0;
  /** What waits, in bytes. */
  size = 0;
  /** How many wait. */
  count = 0;
  #reading: Arena;
  #writing: Arena;
  #between: Arena[] = [];
  readonly #spare: Arena[] = [];
  /** Length of the frame whose pieces are still coming; below 0 when there is none. */
  #opened = -1;

  constructor() {
    this.#reading = arena(ARENA_BYTES);
    this.#writing = this.#reading;
    this.bytes = this.#reading.bytes;
  }

  /** A whole frame, in `[from, to)` of some bytes. */
  push(bytes: Buffer, from = 0, to: number = bytes.length): void {
    const target = this.#room(to - from);
    bytes.copy(target.bytes, target.written + LENGTH_BYTES, from, to);
    this.#add(target, to - from);
  }

  /** A place for a frame that comes in pieces. Nothing may be pushed until `close`, which puts it into the queue. */
  open(length: number): Buffer {
    const { bytes, written } = this.#room(length);
    this.#opened = length;
    return bytes.subarray(written + LENGTH_BYTES, written + LENGTH_BYTES + length);
  }

  close(): void {
    const length = this.#opened;
    this.#opened = -1;
    this.#add(this.#writing, length);
  }

  #room(length: number): Arena {
    const need = LENGTH_BYTES + length;
    if (this.#writing.written + need > this.#writing.bytes.length) {
      if (this.#writing !== this.#reading) this.#between.push(this.#writing);
      this.#writing = (need <= ARENA_BYTES ? this.#spare.pop() : undefined) ?? arena(Math.max(ARENA_BYTES, need));
    }
    return this.#writing;
  }

  #add(target: Arena, length: number): void {
    target.bytes.writeUInt32LE(length, target.written);
    target.written += LENGTH_BYTES + length;
    this.size += LENGTH_BYTES + length;
    this.count++;
  }

  /** False when there is none. */
  next(): boolean {
    let current = this.#reading;
    while (current.read === current.written) {
      if (current === this.#writing) {
        this.#startOver(current);
        return false;
      }
      this.#keep(current);
      current = this.#between.shift() ?? this.#writing;
      this.#reading = current;
    }
    const length = current.bytes.readUInt32LE(current.read);
    this.bytes = current.bytes;
    this.from = current.read + LENGTH_BYTES;
    this.to = this.from + length;
    current.read = this.to;
    this.size -= LENGTH_BYTES + length;
    this.count--;
    return true;
  }

  /** Nobody looks at it any more: what the decoder hands out are copies. */
  #keep(read: Arena): void {
    if (read.bytes.length !== ARENA_BYTES || this.#spare.length >= MAX_SPARE) return;
    read.read = 0;
    read.written = 0;
    this.#spare.push(read);
  }

  /** All is read: the arena serves again, unless one large frame made it larger than the others. */
  #startOver(empty: Arena): void {
    if (this.#opened >= 0) return; // its pieces are coming into this very arena
    empty.read = 0;
    empty.written = 0;
    if (empty.bytes.length === ARENA_BYTES) return;
    this.#reading = arena(ARENA_BYTES);
    this.#writing = this.#reading;
  }
}

function arena(size: number): Arena {
  return { bytes: Buffer.allocUnsafeSlow(size), read: 0, written: 0 };
}
