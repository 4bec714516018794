// Lines of COPY's text format, read back as what they were written from.

import { expect, test } from "vitest";
import { readLine } from "../../../../../src/source/postgres/backfill/copy-line.ts";
import { NULL, Tuple } from "../../../../../src/source/postgres/decode/tuple.ts";
import { Random } from "../../../../support/bus/scripted-bus.ts";

const LETTERS: Readonly<Record<string, string>> = {
  ...{ "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\" },
};

/** As the server writes them. */
function lineOf(values: readonly (string | null)[]): Buffer {
  const texts = values.map((value) =>
    value === null ? "\\N" : value.replace(/[\b\f\n\r\t\v\\]/g, (char) => `\\${LETTERS[char]}`),
  );
  return Buffer.from(`${texts.join("\t")}\n`);
}

function read(line: Buffer, columns: number): readonly (string | null)[] {
  const tuple = new Tuple();
  readLine(line, tuple, columns);
  return Array.from({ length: tuple.count }, (_, nth) =>
    tuple.kinds[nth] === NULL ? null : line.toString("utf8", tuple.from[nth], tuple.to[nth]),
  );
}

test.each([
  ["values without escapes", ["1", "new", "a text"]],
  ["empty ones", ["", "", ""]],
  ["a single empty one", [""]],
  ["nulls beside texts that look like one", [null, "\\N", "N", "\\\\N", null]],
  ["each escape, and letters behind a backslash", ["\b\f\n\r\t\v\\", "\\t\\b\\x41\\.", "\\"]],
  ["letters of many bytes", ["\u00e4\t\u20ac", "\ud83d\ude00\\"]],
] as const)("%s are read as they were", (_, values) => {
  expect(read(lineOf(values), values.length)).toEqual(values);
});

test("random values are read as they were", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  console.error(`seed ${seed}`);
  const random = new Random(seed);
  const chars = ["\b", "\f", "\n", "\r", "\t", "\v", "\\", "N", "a", "\u00e4", "."];
  const text = (): string => Array.from({ length: random.below(6) }, () => chars[random.below(chars.length)]).join("");
  for (let run = 0; run < 2000; run++) {
    const values = Array.from({ length: 1 + random.below(5) }, () => (random.chance(0.2) ? null : text()));
    expect(read(lineOf(values), values.length)).toEqual(values);
  }
});

test.each([1, 3])("a line of two columns is none of a table with %i", (columns) => {
  expect(() => read(lineOf(["1", "2"]), columns)).toThrow(expect.objectContaining({ code: "FRAME_MALFORMED" }));
});
