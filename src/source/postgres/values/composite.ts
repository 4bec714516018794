// Rows within a column: objects by the names of their attributes.

import type { JsonWriter } from "../../json-writer.ts";
import { PART_BYTES, writeQuoted } from "./quoted-part.ts";
import { malformed, type ValueWriter } from "./value-type.ts";

export interface Attribute {
  readonly name: string;
  /** Must refuse what is not of its type, for the attributes are the catalog's of now and the text is the log's. */
  readonly write: ValueWriter;
}

const OPEN = 0x28;
const CLOSE = 0x29;
const QUOTE = 0x22;
const COMMA = 0x2c;
const NULL = Buffer.from("null");

export function compositeOf(attributes: readonly Attribute[]): ValueWriter {
  const leads = attributes.map(({ name }, index) => Buffer.from(`${index === 0 ? "" : ","}${JSON.stringify(name)}:`));
  const size = leads.reduce((sum, lead) => sum + lead.length + PART_BYTES, PART_BYTES);
  return (writer, source, from, to) => {
    if (source[from] !== OPEN || source[to - 1] !== CLOSE) throw malformed("a row");
    writer.extra(size);
    writer.byte(0x7b);
    let at = from + 1;
    for (let nth = 0; nth < attributes.length; nth++) {
      if (nth > 0 && source[at++] !== COMMA) throw malformed("a row");
      writer.literal(leads[nth] as Uint8Array);
      at = writeAttribute(writer, source, at, to - 1, (attributes[nth] as Attribute).write);
    }
    if (at !== to - 1) throw malformed("a row");
    writer.byte(0x7d);
  };
}

/** Nothing at all is null, nothing between quotes an empty text. */
function writeAttribute(writer: JsonWriter, source: Uint8Array, from: number, to: number, write: ValueWriter): number {
  if (from < to && source[from] === QUOTE) return writeQuoted(writer, source, from, to, write);
  let end = from;
  while (end < to && source[end] !== COMMA) end++;
  if (end === from) writer.literal(NULL);
  else write(writer, source, from, end);
  return end;
}
