// How far a source is, by partition: what is later, what is reached, and how it is written down.

import { expect, test } from "vitest";
import { comparePositions, isComplete, type Position } from "../../../src/event/position.ts";
import {
  areComplete,
  comparePlace,
  laterPositions,
  loggedPositions,
  newestOf,
  onlyPosition,
  type Place,
  type PlainPositions,
  placesBehind,
  plainPositions,
  positionsAt,
  positionsFrom,
  reaches,
  withoutPartitions,
} from "../../../src/event/positions.ts";

/** The later of two positions; at the same place the complete one. */
function laterPosition(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const order = comparePositions(a, b);
  if (order === 0) return isComplete(a) ? a : b;
  return order > 0 ? a : b;
}

const at = (plain: Readonly<Record<string, string>> | string) => positionsFrom(plain as PlainPositions);
const place = (position: string, partition?: string): Place => ({ partition, position: position as Position });

test("a source without partitions has one position, written as text as ever", () => {
  const one = positionsAt(place("0005+"));
  expect([plainPositions(one), onlyPosition(one), [...one]]).toEqual(["0005+", "0005+", [["", "0005+"]]]);
  expect(at("0005+")).toEqual(one);
});

test("one with partitions has no single position, and is written by their names", () => {
  const two = at({ a: "0005+", __proto__x: "0001+" });
  expect([plainPositions(two), onlyPosition(two)]).toEqual([{ a: "0005+", __proto__x: "0001+" }, undefined]);
  expect(plainPositions(at({ a: "0005+" }))).toEqual({ a: "0005+" });
  expect(positionsFrom(JSON.parse(JSON.stringify(plainPositions(two))) as PlainPositions)).toEqual(two);
});

test.each([
  [undefined, undefined],
  ["0005", undefined],
  [undefined, "0005"],
  ["0005", "0006"],
  ["0006", "0005+"],
  ["0005", "0005+"],
  ["0005+", "0005"],
  ["0005+", "0005+"],
])("the later of %s and %s is what it is without partitions", (a, b) => {
  const [x, y] = [a, b].map((text) => (text === undefined ? undefined : at(text)));
  expect(onlyPosition(laterPositions(x, y))).toBe(laterPosition(a as Position | undefined, b as Position | undefined));
});

test("later is so in each partition, and leaves both as they were", () => {
  const [x, y] = [at({ a: "0005+", b: "0009+" }), at({ a: "0007+", b: "0001+", c: "0002+" })];
  expect(plainPositions(laterPositions(x, y))).toEqual({ a: "0007+", b: "0009+", c: "0002+" });
  expect([plainPositions(x), y.get("b")]).toEqual([{ a: "0005+", b: "0009+" }, "0001+"]);
  expect(laterPositions(x, at({ a: "0005+" }))).toBe(x);
});

test("what is reached is so in each partition that is named: nothing is behind one that was never seen", () => {
  const reached = at({ a: "0005+", b: "0009+" });
  expect(reaches(reached, at({ a: "0005" }))).toBe(true);
  expect(reaches(reached, at({ a: "0005+", b: "0010+" }))).toBe(false);
  expect(reaches(reached, at({ c: "0001+" }))).toBe(false);
  expect(reaches(undefined, at({ a: "0001+" }))).toBe(false);
  expect(comparePlace(place("0007+", "a"), reached)).toBeGreaterThan(0);
  expect(comparePlace(place("0007+", "b"), reached)).toBeLessThan(0);
  expect(comparePlace(place("0005", "a"), reached)).toBe(0);
  expect(plainPositions(placesBehind(at({ a: "0005+", b: "0010+", c: "0001" }), reached) ?? new Map())).toEqual({
    b: "0010+",
    c: "0001",
  });
  expect(placesBehind(at({ a: "0004+" }), reached)).toBeUndefined();
});

test("all but some partitions are the rest, and nothing where none is left", () => {
  const both = at({ a: "0005+", b: "0009+" });
  expect(withoutPartitions(both, new Set(["a", "c"]))).toEqual(at({ b: "0009+" }));
  expect(withoutPartitions(both, new Set())).toBe(both);
  expect(withoutPartitions(both, new Set(["a", "b"]))).toBeUndefined();
  expect(withoutPartitions(undefined, new Set(["a"]))).toBeUndefined();
});

test("the newest places of what was handed out are those that stand last", () => {
  expect(newestOf([])).toBeUndefined();
  expect(newestOf([place("0001"), place("0002+")])).toEqual(at("0002+"));
  expect(newestOf([place("0001+", "a"), place("0007", "b"), place("0002+", "a")])).toEqual(
    at({ a: "0002+", b: "0007" }),
  );
});

test("one partition inside of a transaction is enough for the whole to be incomplete", () => {
  expect([areComplete(at({ a: "1+", b: "2+" })), areComplete(at({ a: "1+", b: "2" }))]).toEqual([true, false]);
});

test("a line of the log has the places of a few partitions, and only how many there are of many", () => {
  const of = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, "1+" as Position]));
  expect(loggedPositions("0007+" as Position)).toBe("0007+");
  expect(loggedPositions(of(8))).toEqual(of(8));
  expect(loggedPositions(of(9))).toEqual({ partitions: 9 });
});
