// Whether files below a directory have changed, by their times and sizes: editors replace files in more ways than a watch reports.

import { stat } from "node:fs/promises";
import { glob } from "tinyglobby";

const SOURCES = "**/*.{ts,mts,js,mjs,cjs,json,yaml,yml,sql}";

/** A text that differs once a source file was written, added or removed. */
export async function fileFingerprint(directory: string): Promise<string> {
  const files = await glob(SOURCES, {
    cwd: directory,
    absolute: true,
    ignore: ["**/node_modules/**", "**/dist/**", "**/coverage/**", "**/.*/**"],
  });
  const seen = files.sort().map(async (file) => {
    const found = await stat(file).catch(() => undefined); // it may be gone again
    return `${file} ${found?.mtimeMs} ${found?.size}`;
  });
  return (await Promise.all(seen)).join("\n");
}

/** The files that were written, added or removed between two fingerprints. */
export function changedFiles(before: string, after: string): readonly string[] {
  const [old, now] = [before, after].map((text) => new Set(text.split("\n"))) as [Set<string>, Set<string>];
  const lines = [...old, ...now].filter((line) => old.has(line) !== now.has(line));
  return [...new Set(lines.map((line) => line.replace(/ \S+ \S+$/, "")))].filter((file) => file !== "");
}
