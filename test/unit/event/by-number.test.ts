// Values by numbers that come and go.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByNumber } from "../../../src/event/by-number.ts";

describe("values by numbers", () => {
  test("are found, replaced and deleted as in a Map, whatever the numbers and in whichever order they come and go", () => {
    // Few of them, which meet in one place of the table, and some beyond 32 bits.
    const key = fc.oneof(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 0, max: 20 }).map((n) => n * 16),
      fc.integer({ min: 0, max: 3 }).map((n) => 2 ** 40 + n * 2 ** 32),
    );
    const step = fc.record({ key, what: fc.constantFrom("set", "set", "delete") });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const [ours, model] = [new ByNumber<{ readonly nth: number }>(), new Map<number, { readonly nth: number }>()];
        for (const [nth, { key, what }] of steps.entries()) {
          if (what === "delete") {
            expect(ours.delete(key)).toBe(model.delete(key));
          } else {
            ours.set(key, { nth });
            model.set(key, { nth });
          }
          expect(ours.size).toBe(model.size);
        }
        for (const { key } of steps) expect(ours.get(key)).toEqual(model.get(key));
        const nths = (values: Iterable<{ readonly nth: number }>): readonly number[] =>
          [...values].map(({ nth }) => nth).sort((a, b) => a - b);
        expect(nths(ours.values())).toEqual(nths(model.values()));
      }),
    );
  });
});
