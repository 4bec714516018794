// Up to where a durable has missed nothing, look by look.

import { expect, test } from "vitest";
import {
  accountFor,
  goneBefore,
  isOnRecord,
  type Look,
  missedSince,
  newlyRemoved,
  removedSince,
  runsOf,
  type SettledWatermark,
} from "../../../src/bus/jetstream/consumer/settled-watermark.ts";

const made = "2026-11-26T00:00:00Z";
const durable = { life: 1, created: "2026-11-27T00:00:00Z" };
const look = (parts: Partial<Look>): Look => ({
  created: made,
  firstSeq: 1,
  lastSeq: 100,
  ackFloor: undefined,
  next: undefined,
  firstSeqAfter: parts.firstSeq ?? 1,
  removed: [],
  durable,
  ...parts,
});
const through = (seq: number): SettledWatermark => ({ created: made, through: seq, durable });

test("where nothing waits all of the stream is accounted for, however long ago its newest event of ours was", () => {
  expect(accountFor(through(5), look({}))).toEqual(through(100));
  expect(missedSince(through(100), look({ firstSeq: 101, lastSeq: 120 }))).toBeUndefined();
});

test("where something waits all before it is accounted for, and it is missed when it leaves", () => {
  expect(accountFor(through(5), look({ next: 40 }))).toEqual(through(39));
  expect(missedSince(through(39), look({ firstSeq: 40 }))).toBeUndefined();
  expect(missedSince(through(39), look({ firstSeq: 41 }))).toEqual({ first: 40, last: 40 });
  expect(missedSince(through(39), look({ firstSeq: 61 }))).toEqual({ first: 40, last: 60 });
});

test("what was handed out and is not settled is not accounted for, and missed when it leaves", () => {
  expect(accountFor(through(5), look({ ackFloor: 30 }))).toEqual(through(30));
  expect(accountFor(through(5), look({ ackFloor: 30, next: 40 }))).toEqual(through(30));
  expect(missedSince(through(30), look({ firstSeq: 35 }))).toEqual({ first: 31, last: 34 });
});

test("a gap stays one until it is accepted, wherever the durable goes on behind it", () => {
  const behind = look({ firstSeq: 61, next: 90 });
  expect(missedSince(through(39), behind)).toEqual({ first: 40, last: 60 });
  expect(missedSince(through(60), behind)).toBeUndefined();
});

test("a stream that dropped everything has missed up to its end", () => {
  expect(missedSince(through(39), look({ firstSeq: 101, lastSeq: 100 }))).toEqual({ first: 40, last: 100 });
});

test("a durable that nothing is known of, and one in another stream, have missed nothing", () => {
  const dropped = look({ firstSeq: 50, next: 50 });
  const elsewhere = { created: "2026-11-01T00:00:00Z", through: 3 };

  expect([missedSince(undefined, dropped), missedSince(elsewhere, dropped)]).toEqual([undefined, undefined]);
  expect([accountFor(undefined, dropped), accountFor(elsewhere, dropped)]).toEqual([through(49), through(49)]);
});

test("what leaves in the middle of a look is missed at the next one, whether something waits behind it or not", () => {
  for (const next of [61, undefined]) {
    const during = look({ next, firstSeqAfter: 61 });
    expect(missedSince(through(5), during)).toBeUndefined();
    expect(accountFor(through(5), during)).toEqual(through(5));
  }
  expect(missedSince(through(5), look({ firstSeq: 61, next: 61 }))).toEqual({ first: 6, last: 60 });
});

test("what was taken out of the middle is missed once the durable has passed it, and all of it is one gap", () => {
  const known: SettledWatermark = { ...through(10), gone: [] };
  const runs = runsOf([31, 12, 13, 60]);
  expect(runs).toEqual([
    [12, 13],
    [31, 31],
    [60, 60],
  ]);
  expect(removedSince(known, through(11), runs)).toBeUndefined();
  expect(removedSince(known, through(40), runs)).toEqual({ first: 12, last: 31, removed: 3 });
  expect(removedSince({ ...known, through: 31 }, through(40), runs)).toBeUndefined();
  expect(removedSince({ ...known, through: 31 }, through(70), runs)).toEqual({ first: 60, last: 60, removed: 1 });
});

test("what had been taken out before the first look is asked for by nobody, and what leaves beside it is", () => {
  const begun = through(0);
  expect(removedSince(begun, through(40), [[5, 6]])).toBeUndefined();
  const known = { ...through(3), gone: goneBefore(begun, through(3), [[5, 6]]) };
  expect(known.gone).toEqual([[5, 6]]);
  expect(removedSince(known, through(40), [[5, 6]])).toBeUndefined();
  expect(removedSince(known, through(40), [[4, 8]])).toEqual({ first: 4, last: 8, removed: 3 });
  expect(goneBefore(known, through(6), [[4, 8]])).toEqual([]);
  // Another stream has other numbers.
  expect(goneBefore(known, { created: "another", through: 0 }, [[2, 2]])).toEqual([[2, 2]]);
  expect(
    newlyRemoved(
      [[1, 10]],
      [
        [3, 4],
        [8, 8],
      ],
      0,
      9,
    ),
  ).toEqual([
    [1, 2],
    [5, 7],
    [9, 9],
  ]);
});

test("thousands of runs that had been taken out before the first look are no gap", () => {
  const erased = Array.from({ length: 9_000 }, (_, at): [number, number] => [10 * at + 1, 10 * at + 3]);
  const known = { ...through(0), gone: goneBefore(through(0), through(0), erased) };
  expect(removedSince(known, through(100_000), erased)).toBeUndefined();
  const more = erased.map(([first, last]): [number, number] => [first, first === 50_001 ? last + 2 : last]);
  expect(removedSince(known, through(100_000), more)).toEqual({ first: 50_004, last: 50_005, removed: 2 });
});

test("runs are compared with known ones that end before, within and behind them, and span several", () => {
  const known: [number, number][] = [
    [1, 2],
    [5, 20],
    [30, 31],
  ];
  expect(
    newlyRemoved(
      [
        [2, 6],
        [8, 9],
        [19, 40],
      ],
      known,
      0,
      35,
    ),
  ).toEqual([
    [3, 4],
    [21, 29],
    [32, 35],
  ]);
  expect(
    newlyRemoved(
      [
        [2, 6],
        [8, 9],
        [19, 40],
      ],
      known,
      3,
      24,
    ),
  ).toEqual([
    [4, 4],
    [21, 24],
  ]);
});

test("a durable is the one on record by its life and by when it was made, and any where an older version kept the record", () => {
  const on = (known: SettledWatermark["durable"]): boolean =>
    isOnRecord({ created: made, through: 5, ...(known && { durable: known }) }, durable);
  expect([undefined, durable, { life: 1 }].map(on)).toEqual([true, true, true]);
  expect([{ life: 2 }, { life: 2, created: durable.created }, { life: 1, created: made }].map(on)).toEqual([
    false,
    false,
    false,
  ]);
});
