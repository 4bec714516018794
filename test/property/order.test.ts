// Order by key under random schedules: two workers, kills, freezes, pins that move, and what comes again.

import { expect, test } from "vitest";
import { runOrderSchedule } from "../support/order-model.ts";

const runs = Number(process.env.SCHEDULES ?? 100) * 20;
const firstSeed = Number(process.env.SEED ?? Date.now() % 1e9);

test(`nothing begins before what stands before it in its lane is settled, and all is settled, under ${runs} random schedules`, {
  timeout: 120_000,
}, () => {
  console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    expect(runOrderSchedule(seed), `seed ${seed}`).toBeUndefined();
  }
});

test.each([75780793, 75816224])(
  "what another worker has settled meanwhile does not stand for what it still works on (seed %i)",
  (seed) => {
    expect(runOrderSchedule(seed)).toBeUndefined();
  },
);

test("workers that begin without looking whether all is in hand are found out", () => {
  let found = 0;
  for (let seed = firstSeed; seed < firstSeed + 200; seed++) if (runOrderSchedule(seed, true) !== undefined) found++;
  expect(found).toBeGreaterThan(20);
});
