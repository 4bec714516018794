// Up to where a durable has missed nothing, look by look.

import { expect, test } from "vitest";
import { type Accounted, accountFor, type Look, missedSince } from "../../../src/bus/jetstream/accounted.ts";

const made = "2026-11-26T00:00:00Z";
const look = (parts: Partial<Look>): Look => ({
  created: made,
  firstSeq: 1,
  lastSeq: 100,
  delivered: 0,
  next: undefined,
  firstSeqAfter: parts.firstSeq ?? 1,
  ...parts,
});
const through = (seq: number): Accounted => ({ created: made, through: seq });

test("where nothing waits all of the stream is accounted for, however long ago its newest event of ours was", () => {
  expect(accountFor(through(5), look({ delivered: 5 }))).toEqual(through(100));
  expect(missedSince(through(100), look({ firstSeq: 101, lastSeq: 120, delivered: 5 }))).toBeUndefined();
});

test("where something waits all before it is accounted for, and it is missed when it leaves undelivered", () => {
  expect(accountFor(through(5), look({ delivered: 5, next: 40 }))).toEqual(through(39));
  expect(missedSince(through(39), look({ firstSeq: 40, delivered: 5 }))).toBeUndefined();
  expect(missedSince(through(39), look({ firstSeq: 41, delivered: 5 }))).toEqual({ first: 40, last: 40 });
  expect(missedSince(through(39), look({ firstSeq: 61, delivered: 5 }))).toEqual({ first: 40, last: 60 });
});

test("what was handed out is not missed when it leaves", () => {
  expect(missedSince(through(39), look({ firstSeq: 61, delivered: 60 }))).toBeUndefined();
  expect(missedSince(through(39), look({ firstSeq: 61, delivered: 50 }))).toEqual({ first: 51, last: 60 });
});

test("a stream that dropped everything has missed up to its end", () => {
  expect(missedSince(through(39), look({ firstSeq: 101, lastSeq: 100, delivered: 39 }))).toEqual({
    first: 40,
    last: 100,
  });
});

test("a durable that nothing is known of, and one in another stream, have missed nothing", () => {
  const dropped = look({ firstSeq: 50, delivered: 10, next: 50 });

  expect(missedSince(undefined, dropped)).toBeUndefined();
  expect(missedSince({ created: "2026-11-01T00:00:00Z", through: 3 }, dropped)).toBeUndefined();
  expect(accountFor(undefined, dropped)).toEqual(through(49));
  expect(accountFor({ created: "2026-11-01T00:00:00Z", through: 3 }, dropped)).toEqual(through(49));
});

test("what leaves in the middle of a look is missed at the next one, whether something waits behind it or not", () => {
  for (const next of [61, undefined]) {
    const during = look({ delivered: 5, next, firstSeqAfter: 61 });
    expect(missedSince(through(5), during)).toBeUndefined();
    expect(accountFor(through(5), during)).toEqual(through(5));
  }
  expect(missedSince(through(5), look({ firstSeq: 61, delivered: 5, next: 61 }))).toEqual({ first: 6, last: 60 });
});
