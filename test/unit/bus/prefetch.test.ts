// How many messages are held ready follows how quickly they are taken.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Prefetch } from "../../../src/bus/jetstream/consumer/prefetch.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function finish(prefetch: Prefetch, count: number, overMs: number): void {
  for (let n = 0; n < count; n++) prefetch.finished();
  vi.advanceTimersByTime(overMs);
}

test("slow handlers hold the least, quick ones what they take in a quarter of a second, up to a bound", () => {
  const prefetch = new Prefetch(20);

  expect(prefetch.size).toBe(20);
  finish(prefetch, 5, 1000);
  expect(prefetch.size).toBe(20);
  finish(prefetch, 400, 1000);
  expect(prefetch.size).toBe(100);
  finish(prefetch, 100_000, 1000);
  expect(prefetch.size).toBe(512);
});

test("once they have become slow it is the least again, and a large concurrency is never less", () => {
  const prefetch = new Prefetch(20);
  finish(prefetch, 4000, 1000);
  expect(prefetch.size).toBe(512);
  finish(prefetch, 1, 10_000);
  expect(prefetch.size).toBe(20);

  const wide = new Prefetch(600);
  finish(wide, 100_000, 1000);
  expect(wide.size).toBe(600);
});
