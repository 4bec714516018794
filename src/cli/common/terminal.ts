// Text for a person: colour only on a terminal, lines within its width, and nothing that it would take for a command; and what
// is asked of one before something is lost.

import { createInterface } from "node:readline/promises";
import { styleText } from "node:util";

export type Paint = (colour: "green" | "yellow" | "red" | "dim" | "bold", text: string) => string;

/** Colours for a terminal that wants them; plain text for all else. */
export function paint(stream: { readonly isTTY?: boolean }): Paint {
  const plain = stream.isTTY !== true || Boolean(process.env.NO_COLOR);
  return (colour, text) => (plain ? text : styleText(colour, text, { validateStream: false })); // it would ask stdout
}

/** What comes from a server may hold anything. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "\u{FFFD}");
}

/** A line of a table: the first two cells are texts, cut where they are too long, and the others numbers. */
export function row(widths: readonly number[], cells: readonly (string | number)[]): string {
  return cells
    .map((cell, nth) => {
      const width = widths[nth] ?? 0;
      const text = printable(String(cell));
      if (nth > 1) return text.padStart(width);
      return (text.length <= width ? text : `${text.slice(0, width - 1)}…`).padEnd(width);
    })
    .join(" ")
    .trimEnd();
}

/** Broken at spaces; a longer word stays whole. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** What a part of the worker says is beyond its limit. */
export function alarmLines(alarms: readonly { readonly code: string; readonly message: string }[]): readonly string[] {
  return alarms.map(({ code, message }) => `${code}: ${message}`);
}

export interface Question {
  /** What has to be typed. */
  readonly word: string;
  /** What follows from it: "remove it". */
  readonly to: string;
  readonly yes: boolean;
  readonly signal: AbortSignal;
}

/** Whether it was said. */
export async function confirm({ word, to, yes, signal }: Question): Promise<boolean> {
  if (yes || process.stdin.isTTY !== true || process.stdout.isTTY !== true) return yes;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await lines.question(`Type ${word} to ${to}: `, { signal })).trim() === word;
  } finally {
    lines.close();
  }
}
