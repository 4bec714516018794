// Plain delivery under random schedules, in virtual time: two workers that are killed and stopped, answers that come late or are lost,
// retries of seconds and of minutes, dead letters, pauses, seeks and replays.

import { expect, test } from "vitest";
import { runDeliverySchedule } from "../support/delivery/delivery-schedule.ts";

const runs = Math.ceil(Number(process.env.SCHEDULES ?? 100) / 25);
/** The same in each run, unless another one is asked for. */
const firstSeed = Number(process.env.SEED ?? 1);

test(`each event has one end, by its attempts, under ${runs} random schedules`, { timeout: 120_000 }, async () => {
  console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    expect(await runDeliverySchedule(seed), `seed ${seed}`).toBeUndefined();
  }
});
