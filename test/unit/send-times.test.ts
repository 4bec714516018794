// A few lone transactions go the way that has been quicker.

import { expect, test } from "vitest";
import { SendTimes } from "../../src/bus/jetstream/send-times.ts";

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

test("the other way is tried every so often, so that a server that has changed is noticed", () => {
  const times = measured(0.25, 3);
  const choices = Array.from({ length: 640 }, () => times.areQuickerOneByOne(4));

  expect(choices.filter((oneByOne) => !oneByOne)).toHaveLength(10);
  for (let n = 0; n < 100; n++) times.took(1, 20);
  expect(times.areQuickerOneByOne(4)).toBe(false);
});
