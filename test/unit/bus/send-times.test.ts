// A few lone transactions go the way that has been quicker.

import { expect, test } from "vitest";
import { SendTimes } from "../../../src/bus/jetstream/writer/send-times.ts";

function measured(loneMs: number, batchMs: number): SendTimes {
  const times = new SendTimes();
  times.took(1, loneMs);
  times.took(10, batchMs);
  return times;
}

test("until both ways are measured everything goes together, and large batches measure nothing", () => {
  const times = new SendTimes();
  expect(times.areQuickerOneByOne(2)).toBe(false);
  times.took(1, 0.2);
  times.took(1000, 15);
  expect(times.areQuickerOneByOne(2)).toBe(false);
});

test("where a batch costs much, as few go one by one as are through before it", () => {
  const times = measured(0.25, 3);

  expect([2, 10, 20].map((count) => times.areQuickerOneByOne(count))).toEqual([true, true, true]);
  expect([25, 30].map((count) => times.areQuickerOneByOne(count))).toEqual([false, false]);
});

test("where a lone message costs as much as a batch they go together", () => {
  expect(measured(5, 6).areQuickerOneByOne(2)).toBe(false);
});

test("the other way is tried for about a three-hundredth of the time", () => {
  const times = measured(0.25, 3);
  const spentMs = { lone: 0, batch: 0 };
  for (let n = 0; n < 40_000; n++) {
    const lone = times.areQuickerOneByOne(4);
    times.took(lone ? 1 : 4, lone ? 0.25 : 3);
    spentMs[lone ? "lone" : "batch"] += lone ? 0.25 : 3;
  }

  expect(Math.abs(spentMs.lone / spentMs.batch - 300)).toBeLessThan(10);
});

test("a server that has become slow with lone messages is noticed by them, and one that is quick again by a try", () => {
  const times = measured(0.25, 3);
  for (let n = 0; n < 30; n++) times.took(1, 20);
  expect(times.areQuickerOneByOne(4)).toBe(false);

  const choices = Array.from({ length: 60_000 }, () => {
    const lone = times.areQuickerOneByOne(4);
    times.took(lone ? 1 : 4, lone ? 0.25 : 3);
    return lone;
  });
  expect(choices.at(-1)).toBe(true);
});

test("one long pause says nothing about either way", () => {
  const times = measured(0.25, 3);
  times.took(1, 10_000);
  times.took(10, 10_000);

  expect([2, 10, 20].map((count) => times.areQuickerOneByOne(count))).toEqual([true, true, true]);
});
