// Times as people write them.

import { expect, test } from "vitest";
import { parseTime } from "../../../src/event/point-in-time.ts";

test.each([
  ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31T12:00:00.25+01:00", "2026-01-31T11:00:00.250Z"],
  ["2026-01-31T12:00Z", "2026-01-31T12:00:00.000Z"],
  ["2026-01-31", "2026-01-31T00:00:00.000Z"],
])("%s is %s", (text, time) => {
  expect(parseTime(text)?.toISOString()).toBe(time);
});

test.each(["2026-01-31T12:00:00", "2026-13-01", "12:00", "yesterday", "2026", ""])("%s is none", (text) => {
  expect(parseTime(text)).toBeUndefined();
});
