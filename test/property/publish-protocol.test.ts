import { expect, test } from "vitest";
import { openWriter } from "../../src/bus/jetstream/writer/open-writer.ts";
import { keepCheckpoints } from "../../src/worker/checkpoint.ts";
import { mergeProducer } from "../../src/worker/merge-producers.ts";
import { runSchedule } from "../support/bus/publish-model.ts";

const protocol = { openWriter, keepCheckpoints, mergeProducer };
// `npm run test:faults` runs four times as many.
const runs = Number(process.env.SCHEDULES ?? 15);
const firstSeed = Number(process.env.SEED ?? Date.now() % 1e9);

for (const powerLoss of [false, true]) {
  const bus = powerLoss ? "a bus that loses what it has not synced" : "a bus that keeps what it acknowledged";
  test(`two writers on ${bus} leave each event once, in order, under ${runs} random schedules`, {
    timeout: 600_000,
  }, async () => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const wrong = await runSchedule(protocol, { seed, powerLoss });
      expect(wrong, `seed ${seed}`).toBeUndefined();
    }
  });
}

test(`lost numbers that take several batches to fill are filled once, though who fills them is killed, under ${runs} random schedules`, {
  timeout: 600_000,
}, async () => {
  console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
  let killed = 0;
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const wrong = await runSchedule(protocol, {
      seed,
      powerLoss: true,
      maxBatchMessages: 3,
      onKilledFilling: () => killed++,
    });
    expect(wrong, `seed ${seed}`).toBeUndefined();
  }
  expect(killed).toBeGreaterThan(0);
  console.error(`killed while filling: ${killed} times`);
});

test(`large events keep their bodies, though the bus loses those and keeps the events, under ${runs} random schedules`, {
  timeout: 600_000,
}, async () => {
  console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
  let lost = 0;
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const onLostBodies = (count: number): void => {
      lost += count;
    };
    const wrong = await runSchedule(protocol, { seed, powerLoss: seed % 2 === 0, largeEvents: true, onLostBodies });
    expect(wrong, `seed ${seed}`).toBeUndefined();
  }
  expect(lost).toBeGreaterThan(0);
  console.error(`bodies lost: ${lost}`);
});

const partitions = ["orders/1/shard-0", "orders/1/shard-1"] as const;

for (const [bus, options] of [
  ["keeps what it acknowledged", { powerLoss: false }],
  ["loses what it has not synced", { powerLoss: true }],
  ["takes three messages at once, and loses what it has not synced", { powerLoss: true, maxBatchMessages: 3 }],
  ["loses bodies of large events", { powerLoss: true, largeEvents: true }],
] as const)
  test(`two partitions that are read side by side are each whole, once and in order, on a bus that ${bus}, under ${runs} random schedules`, {
    timeout: 600_000,
  }, async () => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const wrong = await runSchedule(protocol, { seed, partitions, ...options });
      expect(wrong, `seed ${seed}`).toBeUndefined();
    }
  });

for (const [bus, options] of [
  ["keeps what it acknowledged", { powerLoss: false }],
  ["loses what it has not synced", { powerLoss: true }],
  ["takes three messages at once, and loses what it has not synced", { powerLoss: true, maxBatchMessages: 3 }],
  ["loses bodies of large events", { powerLoss: true, largeEvents: true }],
] as const)
  test(`a partition that ends, and one that begins behind it, are each whole, once and one behind the other, and the first leaves the checkpoint, on a bus that ${bus}, under ${runs} random schedules`, {
    timeout: 600_000,
  }, async () => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    const parents = { "orders/1/shard-2": "orders/1/shard-0" };
    let killed = 0;
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const wrong = await runSchedule(protocol, {
        ...{ seed, partitions: [...partitions, "orders/1/shard-2"], parents, ...options },
        onKilledEnding: () => killed++,
      });
      expect(wrong, `seed ${seed}`).toBeUndefined();
    }
    expect(killed).toBeGreaterThan(0);
    console.error(`killed between the end on record and the checkpoint without it: ${killed} times`);
  });

for (const [bus, options] of [
  ["keeps what it acknowledged", { powerLoss: false, wide: true, partitions }],
  ["loses what it has not synced", { powerLoss: true, wide: true, partitions }],
  ["takes three messages at once, and loses what it has not synced", { powerLoss: true, maxBatchMessages: 3 }],
  ["loses bodies of large events", { powerLoss: true, largeEvents: true, partitions }],
] as const)
  test(`a copy beside the source's events is stored batch by batch, each once and between two transactions, on a bus that ${bus}, under ${runs} random schedules`, {
    timeout: 600_000,
  }, async () => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const wrong = await runSchedule(protocol, { seed, copied: 25, ...options });
      expect(wrong, `seed ${seed}`).toBeUndefined();
    }
  });
