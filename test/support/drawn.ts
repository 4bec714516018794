// A part of many cases that say much the same, another one with each run: all of them would fill the time that a run has.

import { seedOf } from "./fault-ground.ts";

/** @param count so many of them, by the seed that it prints; with `EVERY=1` all of them */
export function drawnOf<Case>(test: string, all: readonly Case[], count: number): readonly Case[] {
  if (process.env.EVERY === "1") return all;
  const first = seedOf(`${count} of ${all.length} of ${test}`) % all.length;
  return [...all, ...all].slice(first, first + Math.min(count, all.length));
}
