// Up to where a durable has missed nothing, look by look.

import { expect, test } from "vitest";
import { type Accounted, accountFor, type Look, missedSince } from "../../../src/bus/jetstream/accounted.ts";

const made = "2026-11-26T00:00:00Z";
const look = (parts: Partial<Look>): Look => ({
  created: made,
  firstSeq: 1,
  lastSeq: 100,
  ackFloor: undefined,
  next: undefined,
  firstSeqAfter: parts.firstSeq ?? 1,
  ...parts,
});
const through = (seq: number): Accounted => ({ created: made, through: seq });

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
