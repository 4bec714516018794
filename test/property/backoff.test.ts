// The bounds of the wait before a retry.

import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs } from "../../src/clock.ts";

test("a wait lies between min and max, and between min times 2^n and twice that as long as max allows", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 0, max: 110_000 }),
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (minMs, more, failures, random) => {
        const maxMs = minMs + more;
        const wait = backoffMs({ minMs, maxMs }, failures, () => random);
        expect(wait).toBeGreaterThanOrEqual(minMs);
        expect(wait).toBeLessThanOrEqual(maxMs);
        const base = minMs * 2 ** (failures - 1);
        if (base * 2 <= maxMs) {
          expect(wait).toBeGreaterThanOrEqual(base);
          expect(wait).toBeLessThanOrEqual(base * 2);
        } else {
          expect(wait).toBeGreaterThanOrEqual(maxMs / 2);
        }
      },
    ),
  );
});
