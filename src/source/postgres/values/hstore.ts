// The extension hstore: an object of texts and nulls.

import { PART_BYTES, writeQuoted } from "./quoted-part.ts";
import { isWord, malformed, type ValueType, type ValueWriter } from "./value-type.ts";

const QUOTE = 0x22;
const NULL = Buffer.from("null");
const NULL_WORD = Buffer.from("NULL");

const write: ValueWriter = (writer, source, from, to) => writer.string(source, from, to);

/** `"a"=>"1", "b"=>NULL` */
export const hstore: ValueType = {
  plain: false,
  write(writer, source, from, to) {
    writer.extra(PART_BYTES);
    writer.byte(0x7b);
    let at = from;
    while (at < to) {
      if (at > from) {
        if (source[at++] !== 0x2c || source[at++] !== 0x20) throw malformed("hstore");
        writer.byte(0x2c);
      }
      writer.extra(PART_BYTES);
      if (source[at] !== QUOTE) throw malformed("hstore");
      at = writeQuoted(writer, source, at, to, write);
      if (source[at++] !== 0x3d || source[at++] !== 0x3e) throw malformed("hstore");
      writer.byte(0x3a);
      if (source[at] === QUOTE) {
        at = writeQuoted(writer, source, at, to, write);
      } else {
        const end = Math.min(at + NULL_WORD.length, to);
        if (!isWord(source, at, end, NULL_WORD)) throw malformed("hstore");
        writer.literal(NULL);
        at = end;
      }
    }
    writer.byte(0x7d);
  },
};
