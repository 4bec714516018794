import { expect, test } from "vitest";
import { rangesOf, type Settled } from "../../../../src/automation/deliver/ranges.ts";

const at = (sequence: number, follows?: number): Settled => ({ sequence, follows });

test("neighbours are one range, whoever had them before", () => {
  expect(rangesOf([at(5), at(6), at(7)])).toEqual([[5, 7]]);
});

test("a range passes over the sequences of others where one event was handed out right behind the other", () => {
  expect(rangesOf([at(5), at(9, 5), at(20, 9)])).toEqual([[5, 20]]);
});

test("a range ends where another event may stand in between", () => {
  expect(rangesOf([at(5), at(9), at(20, 12)])).toEqual([
    [5, 5],
    [9, 9],
    [20, 20],
  ]);
});

test("events are told in the order of the stream, in whichever order they ended", () => {
  expect(rangesOf([at(20, 9), at(5), at(9, 5), at(6, 4)])).toEqual([
    [5, 6],
    [9, 20],
  ]);
});

test("an event that is told twice stands in one range", () => {
  expect(rangesOf([at(5), at(5), at(6)])).toEqual([[5, 6]]);
});
