// Automations whose handlers fail at random, in two workers that are killed at random. `npm run soak -- --automations` runs
// it with as many events as one likes.

import { describe, expect, test } from "vitest";
import { seedOf } from "../support/fault-ground.ts";
import { runChaos } from "../support/process/automations-chaos.ts";
import { missing } from "../support/servers.ts";

const events = Number(process.env.CHAOS_EVENTS ?? 6000);
const kills = Number(process.env.CHAOS_KILLS ?? 6);

describe.skipIf(missing("postgres", "nats"))(`${events} events in two workers that are killed ${kills} times`, () => {
  test("have each exactly their outcomes", { timeout: 120_000 + events * 20 + kills * 40_000 }, async () => {
    const result = await runChaos({
      events,
      kills,
      seed: seedOf("automations-chaos"),
      say: (text) => console.error(text),
    });
    console.error(JSON.stringify(result));

    expect(result).toMatchObject({ ok: true, events, kills, selfExits: 0, wrong: 0, examples: [] });
    expect(result.letters).toBeGreaterThan(0);
  });
});
