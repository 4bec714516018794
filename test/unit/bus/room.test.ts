// What a pull subscription asks for, by count and by bytes.

import { expect, test } from "vitest";
import { Room } from "../../../src/bus/jetstream/consumer/room.ts";
import { MOST_BYTES_IN_HAND as MOST_BYTES } from "../../../src/bus/subscription.ts";

const mib = 1024 * 1024;
const wanted = { messages: 100, uncounted: 0, largest: mib, always: false };

/** Asks as long as there is something to ask for. */
function asked(room: Room, options: Partial<typeof wanted> = {}) {
  const next = room.ask({ ...wanted, ...options });
  if (next === undefined) throw new Error("nothing is asked for");
  return next;
}

test("all that there is room for is asked for at once, then by halves, in two requests at most", () => {
  const room = new Room();
  const { request, asked: first } = asked(room);
  expect(first).toEqual({ batch: 100, max_bytes: MOST_BYTES / 2 });
  for (let n = 1; n <= 50; n++) {
    expect(room.ask(wanted)).toBeUndefined();
    room.sent(request, 1000);
  }
  expect(asked(room)).toEqual({ request: room.requests[1], asked: { batch: 50, max_bytes: MOST_BYTES / 2 } });
  expect(room.ask(wanted)).toBeUndefined();
});

test("what is in hand counts, but for those that only wait for their confirmation", () => {
  const room = new Room();
  for (let n = 1; n <= 100; n++) room.took(1000);
  expect(room.ask(wanted)).toBeUndefined();
  expect(asked(room, { uncounted: 30 }).asked.batch).toBe(30);
});

test("the bytes that a request had left with its last message are free again", () => {
  const room = new Room();
  for (let round = 1; round <= 10; round++) {
    const { request, asked: next } = asked(room, { messages: 2 });
    expect(next).toEqual({ batch: 2, max_bytes: MOST_BYTES / 2 });
    room.sent(request, 10);
    room.sent(request, 10);
  }
});

test("in hand and asked for together are within the bound, whatever comes", () => {
  const room = new Room();
  const held: number[] = [];
  const heldBytes = (): number => held.reduce((sum, bytes) => sum + bytes, 0);
  const size = 3 * mib;
  for (let next = room.ask(wanted); next !== undefined; next = room.ask(wanted)) {
    for (let { max_bytes: left = 0 } = next.asked; left >= size; left -= size) {
      room.sent(next.request, size);
      room.took(size);
      held.push(size);
    }
    room.overByBytes(next.request);
  }
  expect(heldBytes()).toBeGreaterThan(MOST_BYTES - 2 * size);
  expect(heldBytes()).toBeLessThanOrEqual(MOST_BYTES);
  // With less in hand it goes on.
  for (let n = 0; n < 2; n++) room.released(held.pop() ?? 0);
  expect(asked(room).asked.max_bytes).toBe(MOST_BYTES - heldBytes());
});

test("a message larger than the bound is asked for alone, beside less than half of it", () => {
  const room = new Room();
  const huge = { ...wanted, largest: 2 * MOST_BYTES };
  room.took(MOST_BYTES / 2);
  room.overByBytes(asked(room, huge).request);
  expect(room.ask(huge)).toBeUndefined();
  room.released(1);
  const { request, asked: alone } = asked(room, huge);
  expect(alone).toEqual({ batch: 1 });
  expect(room.ask(huge)).toBeUndefined();
  room.sent(request, 2 * MOST_BYTES);
  room.took(2 * MOST_BYTES);
  expect(room.ask(huge)).toBeUndefined();
  room.released(2 * MOST_BYTES);
  expect(asked(room, huge).asked).toEqual({ batch: 100, max_bytes: MOST_BYTES / 2 });
});

test("one that must always ask does, for nothing where there is no room, and not again at once", () => {
  const room = new Room();
  const always = { ...wanted, always: true };
  room.took(MOST_BYTES);
  const { request, asked: nothing } = asked(room, always);
  expect(nothing).toEqual({ batch: 1, max_bytes: 1 });
  expect(room.ask(always)).toBeUndefined();
  expect(room.overByBytes(request)).toBe(false);
  const full = { ...always, messages: 1 };
  room.released(MOST_BYTES - 10);
  expect(asked(room, full).asked.batch).toBe(1);
});

test("one larger than the server takes by now is not asked for again and again with too little room", () => {
  const room = new Room();
  room.took(MOST_BYTES * 0.75);
  const { request, asked: next } = asked(room);
  expect(next.max_bytes).toBe(MOST_BYTES / 4);
  expect(room.overByBytes(request)).toBe(true);
  expect(room.ask(wanted)).toBeUndefined();
  room.released(MOST_BYTES / 4);
  expect(asked(room).asked.max_bytes).toBe(MOST_BYTES / 2);
});
