// Reads the numbers and texts of one frame; nothing is read past its end, whatever the bytes say.

import { PoisonError } from "../../../errors.ts";

/** Used again for every frame. */
export class FrameReader {
  bytes: Buffer = Buffer.alloc(0);
  from = 0;
  at = 0;
  end = 0;

  reset(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.from = from;
    this.at = from;
    this.end = to;
  }

  uint8(): number {
    const at = this.advance(1);
    return this.bytes[at] as number;
  }

  uint16(): number {
    const at = this.advance(2);
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  uint32(): number {
    const at = this.advance(4);
    const bytes = this.bytes;
    return (
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0
    );
  }

  /** UTF-8 up to a zero byte. */
  text(): string {
    const zero = this.bytes.indexOf(0, this.at);
    if (zero < 0 || zero >= this.end) throw this.malformed("a name has no end");
    const text = this.bytes.toString("utf8", this.at, zero);
    this.at = zero + 1;
    return text;
  }

  skip(length: number): void {
    this.advance(length);
  }

  malformed(what: string): PoisonError {
    return new PoisonError("FRAME_MALFORMED", `${what} (byte ${this.at} of a frame that ends at ${this.end})`);
  }

  private advance(length: number): number {
    const at = this.at;
    if (length > this.end - at) throw this.malformed("a frame ends too early");
    this.at = at + length;
    return at;
  }
}

const POSTGRES_EPOCH_US = 946_684_800_000_000;

/** A time of the protocol, microseconds since 2000, as RFC 3339. */
export function timeText(high: number, low: number): string {
  const us = high * 0x1_0000_0000 + low + POSTGRES_EPOCH_US;
  const text = new Date(Math.floor(us / 1000)).toISOString();
  return `${text.slice(0, -1)}${String(us % 1000).padStart(3, "0")}Z`;
}
