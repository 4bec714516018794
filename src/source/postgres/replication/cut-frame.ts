// A row that is larger than the source may hold: of its frame only the beginning is kept, its size, and its digest.

import { createHash, type Hash } from "node:crypto";

/** Stands where a frame of the log has its `w`; Postgres sends no such frame. */
export const CUT: number = 0x78;
/** What is kept of what stands behind the header. */
const KEPT_BYTES = 64 * 1024;
/** Tag, start, end, clock: of any frame of the log. */
export const XLOG_HEADER_BYTES = 25;
const SIZE_BYTES = 4;
const SHA256_BYTES = 32;

/** Takes such a frame piece by piece. */
export class FrameCutter {
  readonly #kept = Buffer.allocUnsafe(XLOG_HEADER_BYTES + KEPT_BYTES);
  readonly #hash: Hash = createHash("sha256");
  #taken = 0;

  add(bytes: Buffer, from: number, to: number): void {
    if (this.#taken < this.#kept.length) bytes.copy(this.#kept, this.#taken, from, to);
    const header = Math.max(0, XLOG_HEADER_BYTES - this.#taken);
    if (to - from > header) this.#hash.update(bytes.subarray(from + header, to));
    this.#taken += to - from;
  }

  /** `x`, the frame's header and beginning, then the size of all that stood behind the header, and its SHA-256. */
  end(): Buffer {
    const kept = this.#kept.subarray(0, Math.min(this.#taken, this.#kept.length));
    const trailer = Buffer.alloc(SIZE_BYTES);
    trailer.writeUInt32BE(this.#taken - XLOG_HEADER_BYTES);
    const cut = Buffer.concat([kept, trailer, this.#hash.digest()]);
    cut[0] = CUT;
    return cut;
  }
}

/** What a poison row keeps of its bytes. */
export interface KeptBytes {
  readonly raw: Uint8Array;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** What is kept of a whole frame in `[from, end)`. */
export function keptOf(bytes: Buffer, from: number, end: number): KeptBytes {
  const payload = bytes.subarray(Math.min(from + XLOG_HEADER_BYTES, end), end);
  return {
    raw: Uint8Array.from(payload.subarray(0, KEPT_BYTES)),
    sizeBytes: payload.length,
    sha256: createHash("sha256").update(payload).digest("hex"),
  };
}

/** What is kept of a frame that was cut. */
export function keptOfCut(bytes: Buffer, from: number, end: number): KeptBytes {
  const digestAt = end - SHA256_BYTES;
  const sizeAt = digestAt - SIZE_BYTES;
  return {
    raw: Uint8Array.from(bytes.subarray(from + XLOG_HEADER_BYTES, sizeAt)),
    sizeBytes: bytes.readUInt32BE(sizeAt),
    sha256: bytes.toString("hex", digestAt, end),
  };
}
