// When a MongoDB source counts as falling back: not by what swings, but by what it never makes good.

import { expect, test } from "vitest";
import { FallingBack } from "../../../src/source/falling-back.ts";

/** The last answer to looks ten seconds apart, each so far behind. */
function last(behind: readonly number[], everySeconds = 10): number | undefined {
  const falling = new FallingBack();
  return behind.map((seconds, nth) => falling.look(1_000_000 + nth * everySeconds, seconds)).at(-1);
}
const looks = (count: number, of: (nth: number) => number): readonly number[] =>
  Array.from({ length: count }, (_, nth) => of(nth));

test("one that stands still falls back a second in each", () => {
  expect(last(looks(12, (nth) => nth * 10))).toBeCloseTo(1);
});

test("one that reads half of what is written falls back half a second in each", () => {
  expect(last(looks(12, (nth) => 300 + nth * 5))).toBeCloseTo(0.5);
});

test("one that is a constant while behind, catches up, or swings between two acknowledgements keeps up", () => {
  expect(last(looks(12, () => 260))).toBe(0);
  expect(last(looks(12, (nth) => 900 - nth * 50))).toBe(0);
  expect(last(looks(12, (nth) => (nth % 3) * 10))).toBe(0);
});

test("nothing is said before half a minute of the log has gone by, however often it is looked at", () => {
  expect(
    last(
      looks(50, (nth) => nth * 0.5),
      0.5,
    ),
  ).toBeUndefined();
  expect(last([0, 10, 20])).toBeUndefined();
});

test("what was long ago counts no more: one that stopped two minutes ago has no longer kept up", () => {
  expect(last([...looks(60, () => 0), ...looks(13, (nth) => nth * 10)])).toBeCloseTo(1);
});

test("forgets what was before a loss", () => {
  const falling = new FallingBack();
  for (let nth = 0; nth < 12; nth++) falling.look(nth * 10, nth * 10);
  falling.forget();

  expect(falling.look(130, 130)).toBeUndefined();
});
