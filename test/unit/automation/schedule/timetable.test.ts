// When something is due: a time zone's leaps, texts that are none, and the newest of many times.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lastUpTo, timetableOf } from "../../../../src/automation/schedule/timetable.ts";

const HOUR = 3_600_000;

const at = (text: string): number => Date.parse(text);
const due = (when: string, tz: string | undefined, after: string, count: number): readonly string[] => {
  const { next } = timetableOf(when, tz, "it");
  const times: string[] = [];
  for (let ms = next(at(after)); ms !== undefined && times.length < count; ms = next(ms)) {
    times.push(new Date(ms).toISOString().replace(":00.000Z", "Z"));
  }
  return times;
};

test("a pace is of multiples since 1970, whenever it is asked", () => {
  expect(due("every 5m", undefined, "2026-01-01T00:02:03.004Z", 2)).toEqual(["2026-01-01T00:05Z", "2026-01-01T00:10Z"]);
  expect(due("every 7d", undefined, "2026-01-01T00:00Z", 2)).toEqual(["2026-01-08T00:00Z", "2026-01-15T00:00Z"]);
  expect(due("every 5m", undefined, "2026-01-01T00:05Z", 1)).toEqual(["2026-01-01T00:10Z"]);
});

test("a cron expression is in UTC unless it has a zone, and may have seconds", () => {
  expect(due("0 3 * * TUE", undefined, "2026-01-01T00:00Z", 2)).toEqual(["2026-01-06T03:00Z", "2026-01-13T03:00Z"]);
  expect(due("0 3 * * TUE", "Europe/Vienna", "2026-01-01T00:00Z", 1)).toEqual(["2026-01-06T02:00Z"]);
  expect(due("*/20 * * * * *", undefined, "2026-01-01T00:00:00.500Z", 2)).toEqual([
    "2026-01-01T00:00:20.000Z",
    "2026-01-01T00:00:40.000Z",
  ]);
});

describe("when the clocks of a zone change,", () => {
  test.each([
    ["30 2 * * *", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]],
    ["0 3 * * *", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T01:00Z"]],
    ["30 2 * * *", "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]],
    ["15,45 2 * * *", "2026-10-24T12:00Z", ["2026-10-25T00:15Z", "2026-10-25T00:45Z", "2026-10-26T01:15Z"]],
    ["0 * * * *", "2026-03-29T00:30Z", ["2026-03-29T01:00Z", "2026-03-29T02:00Z"]],
    ["0 * * * *", "2026-10-24T23:30Z", ["2026-10-25T00:00Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"]],
  ])("%s behind %s comes once for each time that it names", (when, after, times) => {
    expect(due(when, "Europe/Vienna", after, times.length)).toEqual(times);
  });
});

test.each(["Europe/Vienna", "Australia/Lord_Howe", "UTC"])("in %s no second is left out when clocks change", (zone) => {
  const { next } = timetableOf("* * * * * *", zone, "it");
  for (const change of ["2025-10-26T01:00Z", "2025-03-30T01:00Z", "2025-04-05T15:00Z", "2025-10-04T15:30Z"])
    for (let ms = at(change) - HOUR; ms < at(change) + HOUR; ms += 59_000) expect(next(ms)).toBe(ms + 1000);
});

test("whatever time it is asked from, the next one is the same", () => {
  const zones = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"];
  const expressions = ["30 2 * * *", "*/15 * * * *", "0,30 1-3 * * *", "15 0 * * SUN", "0 0 1 * *", "10 */6 * * *"];
  const changes = ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2018-11-04"];
  const instants = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -129_600, max: 129_600 }));
  fc.assert(
    fc.property(fc.constantFrom(...expressions), fc.constantFrom(...zones), instants, (when, zone, [day, seconds]) => {
      const { next } = timetableOf(when, zone, "it");
      const from = at(`${day}T00:00:00Z`) + seconds * 1000;
      const due = next(from) ?? 0;
      expect(due).toBeGreaterThan(from);
      // Another worker goes on from a time that lies between.
      for (const part of [0.25, 0.5, 0.9, 0.999]) {
        const between = Math.floor(from + (due - from) * part);
        expect([between, next(between)]).toEqual([between, between < due ? due : next(due)]);
      }
      expect(next(due)).toBeGreaterThan(due);
    }),
    { numRuns: 150 },
  );
});

test("the newest time up to now is found by few questions, however many lie behind", () => {
  const instants = fc.integer({ min: 0, max: 40 * 86_400 });
  fc.assert(
    fc.property(fc.constantFrom("every 7s", "*/7 * 3 * * *", "30 2 * * *"), instants, instants, (when, from, span) => {
      const { next } = timetableOf(when, when.startsWith("every") ? undefined : "Europe/Vienna", "it");
      const [after, upTo] = [at("2026-03-01T00:00Z") + from * 1000, at("2026-03-01T00:00Z") + (from + span) * 1000];
      let asked = 0;
      const counted = (ms: number): number | undefined => {
        asked++;
        return next(ms);
      };
      const found = lastUpTo({ next: counted }, after, upTo);
      expect(asked).toBeLessThan(40);
      if (found === undefined) expect(next(after)).toBeGreaterThan(upTo);
      else {
        expect([found > after, found <= upTo]).toEqual([true, true]);
        expect(next(found)).toBeGreaterThan(upTo);
      }
    }),
    { numRuns: 60 },
  );
});

test.each([
  ["", undefined],
  ["0 3 * *", undefined],
  ["0 0 32 1 *", undefined],
  ["61 * * * *", undefined],
  ["*/0 * * * *", undefined],
  ["5-1 * * * *", undefined],
  ["? * * * *", undefined],
  ["@daily", undefined],
  ["2027-01-01T00:00:00", undefined],
  ["0 0 1 1 * * 2027", undefined],
  ["every", undefined],
  ["every 0s", undefined],
  ["every 500ms", undefined],
  ["every 1.5s", undefined],
  ["every 800d", undefined],
  ["every 5 minutes", undefined],
  ["every 5m", "Europe/Vienna"],
  ["0 3 * * *", "Mars/Olympus"],
  ["0 3 * * *", ""],
])("%j in %j is refused", (when, tz) => {
  expect(() => timetableOf(when, tz, "it")).toThrow(
    expect.objectContaining({ name: "ConfigError", code: "AUTOMATION_INVALID" }),
  );
});

test("a day that no calendar has is taken, and never comes", () => {
  expect(due("0 0 30 2 *", undefined, "2026-01-01T00:00Z", 1)).toEqual([]);
});

// What users of other schedulers have reported: that they hang, leave times out, repeat them, or refuse what is well written.
test.each([
  ["kelektiv/node-cron#118", "0 0 12 11,26 * *", "America/Sao_Paulo", "2014-10-12T03:00Z", ["2014-10-26T14:00Z"]],
  ["kelektiv/node-cron#310", "0 30 12 2 * *", "America/Sao_Paulo", "2017-10-02T18:00Z", ["2017-11-02T14:30Z"]],
  [
    "kelektiv/node-cron#638",
    "30 2 * * *",
    "Europe/Amsterdam",
    "2023-03-25T12:00Z",
    ["2023-03-26T01:00Z", "2023-03-27T00:30Z"],
  ],
  ["harrisiirak/cron-parser#25", "0 0 0 10 * *", "America/Sao_Paulo", "2014-10-13T03:00Z", ["2014-11-10T02:00Z"]],
  [
    "hasura/graphql-engine#9975",
    "0 19-23/2,0-8/2 * * *",
    "UTC",
    "2023-11-08T07:00Z",
    ["2023-11-08T08:00Z", "2023-11-08T19:00Z"],
  ],
  [
    "agronholm/apscheduler#1059",
    "0 2 * * *",
    "US/Eastern",
    "2013-03-09T12:00Z",
    ["2013-03-10T07:00Z", "2013-03-11T06:00Z"],
  ],
  [
    "gorhill/cronexpr#23",
    "2 2 * * *",
    "America/Los_Angeles",
    "2016-03-12T11:00Z",
    ["2016-03-13T10:00Z", "2016-03-14T09:02Z"],
  ],
  [
    "mvniekerk/tokio-cron-scheduler#107",
    "0 5 2 * * *",
    "Europe/Dublin",
    "2025-10-25T12:00Z",
    ["2025-10-26T02:05Z", "2025-10-27T02:05Z"],
  ],
])("%s: %s in %s", (_, when, zone, after, times) => {
  expect(due(when, zone, after, times.length)).toEqual(times);
});

test.each([
  ["Hexagon/croner#286", "America/Los_Angeles", "2025-11-02T08:00Z"],
  ["node-cron/node-cron#492", "America/Chicago", "2025-11-02T06:00Z"],
  ["node-cron/node-cron#509", "Europe/Vienna", "2025-10-26T00:00Z"],
  ["kelektiv/node-cron#120", "America/New_York", "2014-11-02T05:00Z"],
  ["quartz-scheduler/quartz#81", "Europe/Berlin", "2016-10-30T00:00Z"],
])("%s: in %s each minute comes once while its clock is set back", (_, zone, from) => {
  const { next } = timetableOf("* * * * *", zone, "it");
  for (let ms = at(from); ms < at(from) + 3 * HOUR; ms += 60_000) expect(next(ms)).toBe(ms + 60_000);
});
