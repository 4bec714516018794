// What a type's values are to the rest: a way to write them, and whether a key of them needs a second look.

import { PoisonError } from "../../../errors.ts";
import type { JsonWriter } from "../../json-writer.ts";

/** Writes the value that stands at `[from, to)`. @throws PoisonError VALUE_MALFORMED when its text is no such value */
export type ValueWriter = (writer: JsonWriter, source: Uint8Array, from: number, to: number) => void;

export interface ValueType {
  readonly write: ValueWriter;
  /**
   * The JSON that is written is canonical already and says the same text as the column: such keys need no parsing
   * for their lane and their subject.
   */
  readonly plain: boolean;
}

/** Whether exactly this word stands at `[from, to)`. */
export function isWord(source: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let nth = 0; nth < word.length; nth++) if (source[from + nth] !== word[nth]) return false;
  return true;
}

export function malformed(what: string): PoisonError {
  return new PoisonError("VALUE_MALFORMED", `${what} is not printed as the session asked for`);
}
