// Writers for attributes of rows: the catalog may have changed since the log was written, so a text proves its type first.

import { PoisonError } from "../../../errors.ts";
import { numberEnd } from "./number-end.ts";
import { isWord, malformed, type ValueWriter } from "./value-type.ts";

const NO_NUMBERS = ["NaN", "Infinity", "-Infinity"].map((word) => Buffer.from(word));

/** @param name of the type in pg_catalog */
export function checked(name: string, write: ValueWriter): ValueWriter {
  switch (name) {
    case "int2":
    case "int4":
    case "int8":
    case "oid":
      return guarded(write, isNumber);
    case "float4":
    case "float8":
      return guarded(write, isFloat);
    case "bool":
      return guarded(write, (source, from, to) => to - from === 1 && (source[from] === 0x74 || source[from] === 0x66));
    case "json":
    case "jsonb":
      return guarded(write, isJson);
    case "bytea":
      return write; // looks at every byte by itself
    default:
      return guarded(write, needsNoEscapes);
  }
}

/** Tries to write a value; one that is not printed as its type would be now is written as text. */
export function orText(write: ValueWriter): ValueWriter {
  return (writer, source, from, to) => {
    const start = writer.at;
    try {
      write(writer, source, from, to);
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      writer.at = start;
      writer.string(source, from, to);
    }
  };
}

type Test = (source: Uint8Array, from: number, to: number) => boolean;

function guarded(write: ValueWriter, test: Test): ValueWriter {
  return (writer, source, from, to) => {
    if (!test(source, from, to)) throw malformed("an attribute");
    write(writer, source, from, to);
  };
}

function isNumber(source: Uint8Array, from: number, to: number): boolean {
  return to > from && numberEnd(source, from, to) === to;
}

function isFloat(source: Uint8Array, from: number, to: number): boolean {
  return isNumber(source, from, to) || NO_NUMBERS.some((word) => isWord(source, from, to, word));
}

function isJson(source: Uint8Array, from: number, to: number): boolean {
  try {
    JSON.parse(Buffer.from(source.buffer, source.byteOffset + from, to - from).toString("utf8"));
    return true;
  } catch {
    return false;
  }
}

/** Numbers, uuids and times are printed in letters that JSON takes as they are. */
function needsNoEscapes(source: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = source[at] as number;
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false;
  }
  return true;
}
