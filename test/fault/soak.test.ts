// A short soak in every run of the faults; `npm run soak` runs for as long as one likes.

import { describe, expect, test } from "vitest";
import { seedOf } from "../support/fault-ground.ts";
import { runSoak } from "../support/process/soak-run.ts";
import { missing } from "../support/servers.ts";

const minutes = Number(process.env.SOAK_MINUTES ?? 0.5);

describe.skipIf(missing("postgres", "nats"))("random faults of every kind", () => {
  test(`leave an exact stream after ${minutes} minutes`, { timeout: minutes * 60_000 + 300_000 }, async () => {
    const result = await runSoak({ minutes, seed: seedOf("soak"), say: (text) => console.error(text) });

    expect(result).toMatchObject({ ok: true, lost: 0, duplicated: 0, outOfOrder: 0, examples: [] });
    expect(Object.keys(result.faults).length).toBeGreaterThan(0);
  });
});
