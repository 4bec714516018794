// Frames between the socket and the decoder: copied at once, for the driver uses its buffers again, and bounded by bytes.

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
  #reading: Arena;
  #writing: Arena;
  #between: Arena[] = [];
  readonly #spare: Arena[] = [];

  constructor() {
    this.#reading = arena(ARENA_BYTES);
    this.#writing = this.#reading;
    this.bytes = this.#reading.bytes;
  }

  push(frame: Uint8Array): void {
    const need = LENGTH_BYTES + frame.length;
    let target = this.#writing;
    if (target.written + need > target.bytes.length) {
      target = (need <= ARENA_BYTES ? this.#spare.pop() : undefined) ?? arena(Math.max(ARENA_BYTES, need));
      if (this.#writing !== this.#reading) this.#between.push(this.#writing);
      this.#writing = target;
    }
    target.bytes.writeUInt32LE(frame.length, target.written);
    target.bytes.set(frame, target.written + LENGTH_BYTES);
    target.written += need;
    this.size += need;
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
