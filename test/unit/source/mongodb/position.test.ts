import { expect, test } from "vitest";
import { formatPosition, parsePosition, readThrough } from "../../../../src/source/mongodb/client/position.ts";

const event = { history: 1, time: { t: 1000, i: 2 }, ordinal: 3, idle: 0, token: "82000003E80000000204" };

test("a position is read back as it was written, also with a token of another kind, and without one", () => {
  for (const token of [event.token, "_YWJj-_", undefined]) {
    const place = { ...event, token };
    expect(parsePosition(formatPosition(place, true))).toEqual(place);
    expect(parsePosition(formatPosition(place, false))).toEqual(place);
  }
});

test("positions rise by history, time, order within a time, and idle places, whatever their tokens are", () => {
  const rising = [
    event,
    { ...event, idle: 1, token: "00" },
    { ...event, ordinal: 4, token: "" },
    { ...event, time: { t: 1000, i: 16 }, ordinal: 1, token: "FF" },
    { ...event, time: { t: 1001, i: 0 }, ordinal: 1, token: "AA" },
    { ...event, history: 2, time: { t: 1, i: 0 }, ordinal: 0 },
  ].map((place) => formatPosition(place, true));
  expect([...rising].sort()).toEqual(rising);
});

test("an idle source has read as far as its token says, so that it does not seem to fall off the oplog", () => {
  expect(readThrough(event)).toEqual({ t: 1000, i: 2 });
  expect(readThrough({ ...event, idle: 7, token: "82000013880000000500" })).toEqual({ t: 5000, i: 5 });
  expect(readThrough({ ...event, idle: 7, token: "82000000010000000500" })).toEqual({ t: 1000, i: 2 });
  expect(readThrough({ ...event, idle: 7, token: "_YWJj" })).toBeUndefined();
  expect(readThrough({ ...event, ordinal: 0, idle: 1, token: "_YWJj" })).toEqual({ t: 1000, i: 2 });
});
