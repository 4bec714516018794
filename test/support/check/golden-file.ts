// Compares what was delivered with the golden file, and with what SQL says. `GOLDEN=write` writes the file anew.

import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Delivered } from "./golden-types.ts";

const file = new URL("../../golden/types.json", import.meta.url);

/** By type, then by value. */
type Golden = Record<string, Record<string, string>>;

export function assertGolden(delivered: readonly Delivered[]): void {
  const byRule = ({ json, expected, verbatim }: Delivered): unknown[] =>
    verbatim ? [json, expected] : [json, expected].map((text) => parsed(text));
  const differing = delivered.filter((value) => {
    const [ours, theirs] = byRule(value);
    return !Object.is(JSON.stringify(sorted(ours)), JSON.stringify(sorted(theirs)));
  });
  expect(differing, "other than SQL says").toEqual([]);
  const found: Golden = {};
  for (const { type, value, json } of delivered) found[type] = { ...found[type], [value]: json };
  if (process.env.GOLDEN === "write") writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
  const golden = JSON.parse(readFileSync(file, "utf8")) as Golden;
  // An older server lacks some values.
  for (const [type, values] of Object.entries(found)) expect(golden[type], type).toMatchObject(values);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return `no JSON: ${text}`;
  }
}

/** Members in one order: jsonb and hstore keep none. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
