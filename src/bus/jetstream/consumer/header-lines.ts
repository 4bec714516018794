// The header lines of a message, read from its bytes: the client makes an object of all of them, and few are asked for.

import type { Msg } from "@nats-io/transport-node";

/** Of subject, reply, header lines and body together, in bytes; only of subject, reply and body where the client does not say. */
export function sizeOf(message: Msg): number {
  // The client's type leaves it out.
  const { size } = message as Msg & { readonly size?: () => number };
  return size?.call(message) ?? message.subject.length + (message.reply?.length ?? 0) + message.data.length;
}

/** `NATS` and `/1.0`, as numbers of four bytes. */
const [NATS, VERSION] = [0x4e415453, 0x2f312e30] as const;
const OPENING_BYTES = 8;

/** Of the newest piece that the socket gave: many messages lie in one. */
let piece: Buffer = Buffer.alloc(0);

function pieceOf(data: Uint8Array): Buffer {
  if (piece.buffer !== data.buffer) piece = Buffer.from(data.buffer);
  return piece;
}

/** What tells where the header lines of a message are, all of it of one and the same message. */
interface Measured {
  readonly subject: string;
  readonly reply: string;
  /** Cut out by the client from the memory that the header lines are in too. */
  readonly data: Uint8Array;
  /** As `sizeOf` has it. */
  readonly bytes: number;
}

/** Where they begin in the memory of the body; undefined when the message has none, or they are not where they should be. */
export function linesStart({ subject, reply, data, bytes }: Measured): number | undefined {
  // Header lines and body lie side by side.
  const size = bytes - subject.length - reply.length - data.length;
  const start = data.byteOffset - size;
  if (size <= OPENING_BYTES || start < 0) return undefined;
  const all = pieceOf(data);
  return all.readUInt32BE(start) === NATS && all.readUInt32BE(start + 4) === VERSION ? start : undefined;
}

/** The lines, from the version on. @param start as `linesStart` has it */
export function blockText(data: Uint8Array, start: number): string {
  return pieceOf(data).toString("utf8", start, data.byteOffset);
}

/** What a header's line begins with, by its name: few are asked for, each of them for every message. */
const beginnings = new Map<string, string>();
const MAX_BEGINNINGS = 256;
const SPACE = 0x20;

function beginningOf(name: string): string {
  const known = beginnings.get(name);
  if (known !== undefined) return known;
  const beginning = `\r\n${name}:`;
  if (beginnings.size < MAX_BEGINNINGS) beginnings.set(name, beginning);
  return beginning;
}

/** The first value of a header, named exactly so; undefined when it is not there. */
export function headerValue(block: string, name: string): string | undefined {
  const start = block.indexOf(beginningOf(name));
  if (start < 0) return undefined;
  const colon = start + name.length + 2;
  const from = block.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1;
  const end = block.indexOf("\r\n", from);
  const value = block.slice(from, end);
  return block.charCodeAt(from) === SPACE || block.charCodeAt(end - 1) === SPACE ? value.trim() : value;
}
