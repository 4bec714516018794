// Asks a person on a terminal before something is lost; all others have to say --yes.

import { createInterface } from "node:readline/promises";

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
