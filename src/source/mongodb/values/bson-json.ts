// BSON -> JSON text, bytes to bytes, without an object for each field and without losing a digit.

import { isUtf8 } from "node:buffer";
import { escapedBound, type JsonWriter } from "../../json-writer.ts";
import { cstringEnd, documentEnd, malformed, Type, valueEnd } from "./bson.ts";
import { decimalText } from "./decimal128.ts";
import { safeInt64, writeDate, writeHexadecimal, writeInteger, writePlainText } from "./write-scalar.ts";

/** `json`: as plain JSON as can be had; `ejson`: canonical Extended JSON v2, which keeps each type. */
export type Encoding = "json" | "ejson";

/** A server refuses documents that are nested deeper than 200. */
const MAX_DEPTH = 256;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const COMMA = 0x2c;
const COLON = 0x3a;

/** Writes the document at `from` as a JSON object. @returns where it ends @throws PoisonError BSON_MALFORMED */
export function writeDocument(
  writer: JsonWriter,
  encoding: Encoding,
  bytes: Buffer,
  from = 0,
  end: number = bytes.length,
): number {
  return new Walk(writer, encoding, bytes).members(from, end, false, 0);
}

/** Writes one value. @throws PoisonError BSON_MALFORMED */
export function writeValue(
  writer: JsonWriter,
  encoding: Encoding,
  bytes: Buffer,
  value: { readonly type: number; readonly from: number; readonly to: number },
): void {
  new Walk(writer, encoding, bytes).value(value.type, value.from, value.to, 0);
}

class Walk {
  readonly #writer: JsonWriter;
  readonly #keepsTypes: boolean;
  readonly #bytes: Buffer;

  constructor(writer: JsonWriter, encoding: Encoding, bytes: Buffer) {
    this.#writer = writer;
    this.#keepsTypes = encoding === "ejson";
    this.#bytes = bytes;
  }

  members(from: number, end: number, isArray: boolean, depth: number): number {
    if (depth > MAX_DEPTH) throw malformed("it is nested too deeply");
    const bytes = this.#bytes;
    const writer = this.#writer;
    const to = documentEnd(bytes, from, end);
    const last = to - 1;
    writer.room(1);
    writer.byte(isArray ? 0x5b : 0x7b);
    for (let at = from + 4; at < last; ) {
      const type = bytes[at] as number;
      const value = cstringEnd(bytes, at + 1, last);
      const next = valueEnd(bytes, type, value, last);
      if (at !== from + 4) {
        writer.room(1);
        writer.byte(COMMA);
      }
      if (!isArray) {
        this.#text(at + 1, value - 1);
        writer.room(1);
        writer.byte(COLON);
      }
      this.value(type, value, next, depth);
      at = next;
    }
    writer.room(1);
    writer.byte(isArray ? 0x5d : 0x7d);
    return to;
  }

  value(type: number, from: number, to: number, depth: number): void {
    switch (type) {
      case Type.document:
      case Type.array:
        this.members(from, to, type === Type.array, depth + 1);
        break;
      case Type.string:
        this.#counted(from);
        break;
      case Type.regex:
      case Type.dbPointer:
      case Type.code:
      case Type.symbol:
      case Type.codeWithScope:
        this.#withText(type, from, to, depth);
        break;
      default:
        if (this.#keepsTypes) this.#plain(typedText(this.#bytes, type, from, to));
        else if (!this.#common(type, from, to)) this.#plain(plainText(this.#bytes, type, from, to));
    }
  }

  /** Writes a scalar in plain JSON without a text of it. @returns false for one that needs a text: nothing is written then */
  #common(type: number, from: number, to: number): boolean {
    const writer = this.#writer;
    const bytes = this.#bytes;
    switch (type) {
      case Type.int32:
        writeInteger(writer, bytes.readInt32LE(from));
        return true;
      case Type.int64: {
        const value = safeInt64(bytes, from);
        if (value !== undefined) writeInteger(writer, value);
        return value !== undefined;
      }
      case Type.objectId:
        writeHexadecimal(writer, bytes, from, to);
        return true;
      case Type.date:
        return writeDate(writer, bytes, from);
      default:
        return false;
    }
  }

  /** Extended JSON that has a text in it: both encodings write it so. */
  #withText(type: number, from: number, to: number, depth: number): void {
    const bytes = this.#bytes;
    if (type === Type.regex) {
      const options = cstringEnd(bytes, from, to);
      this.#plain('{"$regularExpression":{"pattern":');
      this.#text(from, options - 1);
      this.#plain(',"options":');
      this.#text(options, to - 1);
      this.#plain("}}");
    } else if (type === Type.dbPointer) {
      this.#plain('{"$dbPointer":{"$ref":');
      this.#counted(from);
      this.#plain(`,"$id":{"$oid":"${bytes.toString("hex", to - 12, to)}"}}}`);
    } else if (type === Type.codeWithScope) {
      const scope = valueEnd(bytes, Type.string, from + 4, to);
      this.#plain('{"$code":');
      this.#counted(from + 4);
      this.#plain(',"$scope":');
      this.members(scope, to, false, depth + 1);
      this.#plain("}");
    } else {
      this.#plain(type === Type.code ? '{"$code":' : '{"$symbol":');
      this.#counted(from);
      this.#plain("}");
    }
  }

  /** @param text ASCII, finished JSON */
  #plain(text: string): void {
    const writer = this.#writer;
    writer.room(text.length);
    writer.at += writer.bytes.write(text, writer.at, "latin1");
  }

  #counted(from: number): void {
    const last = from + 3 + this.#bytes.readInt32LE(from);
    if (this.#bytes[last] !== 0) throw malformed("a string has no end");
    this.#text(from + 4, last);
  }

  /** The bytes `[from, to)` as a JSON string; what is no UTF-8 becomes U+FFFD, as the drivers have it. */
  #text(from: number, to: number): void {
    if (writePlainText(this.#writer, this.#bytes, from, to)) return;
    let bytes = this.#bytes;
    if (!isAscii(bytes, from, to) && !isUtf8(bytes.subarray(from, to))) {
      bytes = Buffer.from(bytes.toString("utf8", from, to));
      from = 0;
      to = bytes.length;
    }
    const writer = this.#writer;
    writer.room(escapedBound(bytes, from, to) + 2);
    writer.string(bytes, from, to);
  }
}

/** A scalar in plain JSON, finished, of those that are not written digit by digit. @throws PoisonError */
function plainText(bytes: Buffer, type: number, from: number, to: number): string {
  switch (type) {
    case Type.int64: {
      const value = bytes.readBigInt64LE(from);
      return value >= -MAX_SAFE && value <= MAX_SAFE ? String(value) : `"${value}"`;
    }
    case Type.double: {
      const value = bytes.readDoubleLE(from);
      if (Object.is(value, -0)) return "-0";
      return Number.isFinite(value) ? String(value) : `"${value}"`;
    }
    case Type.boolean:
      return bytes[from] === 1 ? "true" : "false";
    case Type.date:
      return `"${bytes.readBigInt64LE(from)}"`;
    case Type.decimal128:
      return `"${decimalText(bytes, from)}"`;
    case Type.timestamp:
      return `{"t":${bytes.readUInt32LE(from + 4)},"i":${bytes.readUInt32LE(from)}}`;
    case Type.binary: {
      const { subtype, at } = binaryAt(bytes, from, to);
      if (subtype === 4 && to - at === 16) return `"${uuidText(bytes.toString("hex", at, to))}"`;
      return `"${bytes.toString(subtype === 3 ? "hex" : "base64", at, to)}"`;
    }
    default:
      return typedText(bytes, type, from, to);
  }
}

/** A scalar in canonical Extended JSON, finished. @throws PoisonError */
function typedText(bytes: Buffer, type: number, from: number, to: number): string {
  switch (type) {
    case Type.null:
      return "null";
    case Type.boolean:
      return plainText(bytes, type, from, to);
    case Type.int32:
      return `{"$numberInt":"${bytes.readInt32LE(from)}"}`;
    case Type.int64:
      return `{"$numberLong":"${bytes.readBigInt64LE(from)}"}`;
    case Type.double:
      return `{"$numberDouble":"${doubleText(bytes.readDoubleLE(from))}"}`;
    case Type.objectId:
      return `{"$oid":"${bytes.toString("hex", from, to)}"}`;
    case Type.date:
      return `{"$date":{"$numberLong":"${bytes.readBigInt64LE(from)}"}}`;
    case Type.decimal128:
      return `{"$numberDecimal":"${decimalText(bytes, from)}"}`;
    case Type.timestamp:
      return `{"$timestamp":${plainText(bytes, type, from, to)}}`;
    case Type.binary: {
      const { subtype, at } = binaryAt(bytes, from, to);
      const code = subtype.toString(16).padStart(2, "0");
      return `{"$binary":{"base64":"${bytes.toString("base64", at, to)}","subType":"${code}"}}`;
    }
    case Type.undefined:
      return '{"$undefined":true}';
    case Type.minKey:
      return '{"$minKey":1}';
    case Type.maxKey:
      return '{"$maxKey":1}';
    default:
      throw malformed(`there is no BSON type ${type}`);
  }
}

/** Where a binary value's own bytes begin: those of the old kind (2) are counted twice. */
function binaryAt(bytes: Buffer, from: number, to: number): { readonly subtype: number; readonly at: number } {
  const subtype = bytes[from + 4] as number;
  const at = from + 5 + (subtype === 2 ? 4 : 0);
  if (at > to) throw malformed("a binary value is cut off");
  return { subtype, at };
}

function isAscii(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((bytes[at] as number) > 0x7f) return false;
  return true;
}

function doubleText(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value);
}

/** @param hex 32 digits */
export function uuidText(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
