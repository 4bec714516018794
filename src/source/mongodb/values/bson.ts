// BSON as it lies in memory: its types, and where a value ends. Everything is checked against the end of what holds it.

import { PoisonError } from "../../../errors.ts";

/** The types of BSON 1.1, by the byte that stands before a field's name. */
export const Type = {
  double: 0x01,
  string: 0x02,
  document: 0x03,
  array: 0x04,
  binary: 0x05,
  undefined: 0x06,
  objectId: 0x07,
  boolean: 0x08,
  date: 0x09,
  null: 0x0a,
  regex: 0x0b,
  dbPointer: 0x0c,
  code: 0x0d,
  symbol: 0x0e,
  codeWithScope: 0x0f,
  int32: 0x10,
  timestamp: 0x11,
  int64: 0x12,
  decimal128: 0x13,
  minKey: 0xff,
  maxKey: 0x7f,
} as const;

/** One field of a document: `name` is the bytes `[nameFrom, from - 1)`, the value is `[from, to)`. */
export interface Field {
  readonly type: number;
  readonly nameFrom: number;
  readonly from: number;
  readonly to: number;
}

/** Where the document that begins at `from` ends. @param end of what holds it @throws PoisonError */
export function documentEnd(bytes: Buffer, from: number, end: number): number {
  if (from + 5 > end) throw malformed("a document is cut off");
  const to = from + bytes.readInt32LE(from);
  if (to < from + 5 || to > end || bytes[to - 1] !== 0) throw malformed("a document's length is wrong");
  return to;
}

/** The byte behind a zero-terminated text. @throws PoisonError */
export function cstringEnd(bytes: Buffer, from: number, end: number): number {
  for (let at = from; at < end; at++) if (bytes[at] === 0) return at + 1; // short: a call of Node's own costs more
  throw malformed("a text has no end");
}

/** Where a value ends. @param end of the document that holds it @throws PoisonError */
export function valueEnd(bytes: Buffer, type: number, from: number, end: number): number {
  const to = from + sizeOf(bytes, type, from, end);
  if (to > end) throw malformed("a value is cut off");
  return to;
}

function sizeOf(bytes: Buffer, type: number, from: number, end: number): number {
  switch (type) {
    case Type.double:
    case Type.date:
    case Type.timestamp:
    case Type.int64:
      return 8;
    case Type.string:
    case Type.code:
    case Type.symbol:
      return 4 + counted(bytes, from, end, 1);
    case Type.document:
    case Type.array:
    case Type.codeWithScope:
      return counted(bytes, from, end, 5);
    case Type.binary:
      return 5 + counted(bytes, from, end, 0);
    case Type.undefined:
    case Type.null:
    case Type.minKey:
    case Type.maxKey:
      return 0;
    case Type.objectId:
      return 12;
    case Type.boolean:
      return 1;
    case Type.regex:
      return cstringEnd(bytes, cstringEnd(bytes, from, end), end) - from;
    case Type.dbPointer:
      return 16 + counted(bytes, from, end, 1);
    case Type.int32:
      return 4;
    case Type.decimal128:
      return 16;
    default:
      throw malformed(`there is no BSON type ${type}`);
  }
}

function counted(bytes: Buffer, from: number, end: number, least: number): number {
  if (from + 4 > end) throw malformed("a value is cut off");
  const size = bytes.readInt32LE(from);
  if (size < least || size > end - from) throw malformed("a value's length is wrong");
  return size;
}

/**
 * Walks the fields of a document in their order: one object for all of them. Where it stands, a field's name is the bytes
 * `[nameFrom, from - 1)`, and its value `[from, to)`.
 */
export class FieldWalk {
  readonly bytes: Buffer;
  type = 0;
  nameFrom = 0;
  from = 0;
  to: number;
  readonly #last: number;

  /** @param end of what holds the document @throws PoisonError BSON_MALFORMED */
  constructor(bytes: Buffer, from = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.#last = documentEnd(bytes, from, end) - 1;
    this.to = from + 4;
  }

  /** Goes to the next field. @returns whether there is one @throws PoisonError BSON_MALFORMED */
  next(): boolean {
    const at = this.to;
    if (at >= this.#last) return false;
    this.type = this.bytes[at] as number;
    this.nameFrom = at + 1;
    this.from = cstringEnd(this.bytes, at + 1, this.#last);
    this.to = valueEnd(this.bytes, this.type, this.from, this.#last);
    return true;
  }

  get name(): string {
    return this.bytes.toString("utf8", this.nameFrom, this.from - 1);
  }
}

/** The fields of the document at `from`, in their order. @param end of what holds it @throws PoisonError */
export function* fieldsOf(bytes: Buffer, from = 0, end: number = bytes.length): Generator<Field> {
  const walk = new FieldWalk(bytes, from, end);
  while (walk.next()) yield { type: walk.type, nameFrom: walk.nameFrom, from: walk.from, to: walk.to };
}

/** The text of a counted string, of which `from` is the length's place. */
export function stringAt(bytes: Buffer, from: number): string {
  return bytes.toString("utf8", from + 4, from + 3 + bytes.readInt32LE(from));
}

export function malformed(what: string): PoisonError {
  return new PoisonError("BSON_MALFORMED", `a document that the server sent is no BSON: ${what}`, {
    hint: "look at the document with mongosh; a driver that writes broken BSON is the usual cause",
  });
}
