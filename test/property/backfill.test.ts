// Copies beside writes of all kinds, by workers that are killed anywhere: whoever applies the stream in its order holds what the
// tables hold, never goes back in time, and reads no row twice that was not owed.

import { expect, test } from "vitest";
import { Backfill } from "../../src/backfill/backfill.ts";
import { owedSince } from "../../src/backfill/owed-since.ts";
import { runCopy } from "../support/source/copy-schedule.ts";

const runs = Number(process.env.SCHEDULES ?? 25);
const firstSeed = Number(process.env.SEED ?? Date.now() % 1e9);

test.each([
  ["of which a marker holds all", false],
  ["of more than a marker holds", true],
])(
  "a copy with rows that are owed, %s, leaves what the tables hold, under random schedules",
  { timeout: 600_000 },
  async (_what, small) => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    for (let seed = firstSeed; seed < firstSeed + runs; seed++)
      expect(await runCopy({ Backfill, owedSince }, { seed, small }), `seed ${seed}`).toBeUndefined();
  },
);
