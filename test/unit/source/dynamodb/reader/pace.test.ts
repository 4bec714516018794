import { describe, expect, test } from "vitest";
import { type Pace, Pacer, toBeat } from "../../../../../src/source/dynamodb/reader/pace.ts";

const PACE: Pace = { minMs: 250, maxIdleMs: 2_000 };
const EMPTY = { records: 0, bytes: 100, closed: false };
const FEW = { records: 3, bytes: 900, closed: false };

/** Whose rests are as long as they may be. */
function pacer(pace: Pace = PACE): Pacer {
  return new Pacer(pace, () => 0);
}

function rests(of: Pacer, answers: number, answer = EMPTY): readonly number[] {
  return Array.from({ length: answers }, () => Math.round(of.next(answer)));
}

describe("a shard", () => {
  test("rests the shortest time behind records, however many answers had some", () => {
    expect(rests(pacer(), 3, FEW)).toEqual([250, 250, 250]);
    expect(rests(pacer({ minMs: 40, maxIdleMs: 2_000 }), 2, FEW)).toEqual([40, 40]);
  });

  test.each([
    ["by its records", { records: 900, bytes: 90_000, closed: false }],
    ["by its bytes", { records: 10, bytes: 900_000, closed: false }],
  ])("does not rest behind an answer that is full %s", (_, full) => {
    expect(rests(pacer(), 2, full)).toEqual([0, 0]);
  });

  test("rests half as long again behind each empty answer, up to a second", () => {
    expect(rests(pacer(), 6)).toEqual([250, 375, 563, 844, 1_000, 1_000]);
  });

  test("rests for longer than a second only once sixty answers in a row were empty", () => {
    const one = pacer();
    const [first = [], then = []] = [rests(one, 60), rests(one, 4)];
    expect(Math.max(...first)).toBe(1_000);
    expect(then).toEqual([1_500, 2_000, 2_000, 2_000]);
  });

  test("starts anew behind records, its sixty empty answers too", () => {
    const one = pacer();
    rests(one, 100);
    expect(rests(one, 1, FEW)).toEqual([250]);
    const again = rests(one, 60);
    expect(again.slice(0, 3)).toEqual([250, 375, 563]);
    expect(Math.max(...again)).toBe(1_000);
  });

  test("never rests for longer than maxIdleMs, where that is less than a second", () => {
    expect(Math.max(...rests(pacer({ minMs: 50, maxIdleMs: 300 }), 100))).toBe(300);
  });

  test("never rests for less than minMs, where that is more than a second", () => {
    const one = pacer({ minMs: 5_000, maxIdleMs: 20_000 });
    expect(rests(one, 60)).toEqual(Array<number>(60).fill(5_000));
    expect(rests(one, 4)).toEqual([7_500, 11_250, 16_875, 20_000]);
  });

  test("that is closed is asked for its end at once, and never rests long", () => {
    const one = pacer();
    expect(rests(one, 2, { ...FEW, closed: true })).toEqual([0, 0]);
    const empty = rests(one, 100, { ...EMPTY, closed: true });
    expect(empty.slice(0, 3)).toEqual([20, 40, 60]);
    expect(Math.max(...empty)).toBe(250);
  });
});

test("A long rest ends with a beat, up to 50 ms earlier and never later; a short one is as it is", () => {
  for (let nth = 0; nth < 200; nth++) {
    const [restMs, nowMs] = [500 + nth * 7.3, 1_000 + nth * 3.7];
    const rest = toBeat(restMs, nowMs);
    expect((nowMs + rest) % 50).toBeLessThan(1e-6 + Number.EPSILON);
    expect(rest).toBeLessThanOrEqual(restMs);
    expect(rest).toBeGreaterThan(restMs - 50);
  }
  expect(toBeat(499, 12_345)).toBe(499);
  expect(toBeat(0, 12_345)).toBe(0);
});

describe("many shards", () => {
  test("that begin at once are spread over their first rest", () => {
    const first = Array.from({ length: 200 }, (_, nth) => new Pacer(PACE, () => (nth + 0.5) / 200).next(EMPTY));
    const inEachTenth = Array.from(
      { length: 10 },
      (_, tenth) => first.filter((ms) => ms > tenth * 25 && ms <= (tenth + 1) * 25).length,
    );
    expect(inEachTenth).toEqual(Array<number>(10).fill(20));
  });

  test("do not go on in step: a rest is shorter by up to a tenth, and never longer", () => {
    const one = new Pacer(PACE, () => 1);
    one.next(EMPTY);
    expect(rests(one, 2)).toEqual([338, 506]);
  });
});
