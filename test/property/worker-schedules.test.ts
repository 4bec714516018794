// Whole workers over a scripted source that is a connector like any other, on a bus that fails by chance.

import { expect, test } from "vitest";
import { openWriter } from "../../src/bus/jetstream/writer/open-writer.ts";
import { superviseSource } from "../../src/worker/supervise-source.ts";
import { runWorkers } from "../support/source/worker-schedule.ts";

const protocol = { openWriter, superviseSource };
const runs = Number(process.env.SCHEDULES ?? 25);
const firstSeed = Number(process.env.SEED ?? Date.now() % 1e9);

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
      const wrong = await runWorkers(protocol, { seed, partitions, ...options });
      expect(wrong, `seed ${seed}`).toBeUndefined();
    }
  });

for (const [bus, options] of [
  ["keeps what it acknowledged", { powerLoss: false }],
  ["loses what it has not synced", { powerLoss: true }],
  ["takes three messages at once, and loses what it has not synced", { powerLoss: true, maxBatchMessages: 3 }],
  ["loses bodies of large events", { powerLoss: true, largeEvents: true }],
] as const)
  test(`a partition that ends, and two that begin behind it, are each whole, once and one behind the other, and the first leaves the checkpoint, on a bus that ${bus}, under ${runs} random schedules`, {
    timeout: 600_000,
  }, async () => {
    console.error(`seeds ${firstSeed} to ${firstSeed + runs - 1}`);
    const [parent] = partitions;
    const parents = { "orders/1/shard-2": parent, "orders/1/shard-3": parent };
    const all = [...partitions, ...Object.keys(parents)];
    for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
      const wrong = await runWorkers(protocol, { seed, partitions: all, parents, ...options });
      expect(wrong, `seed ${seed}`).toBeUndefined();
    }
  });

test("a seed gives the same schedule each time", async () => {
  const streams: string[][] = [];
  for (let time = 1; time <= 2; time++) {
    await runWorkers(protocol, {
      ...{ seed: firstSeed, partitions, powerLoss: true, largeEvents: true },
      onStream: (stream) => streams.push(stream.map(({ subject, headers }) => `${subject} ${headers.get("Cdc-Pos")}`)),
    });
  }
  expect(streams[0]).toEqual(streams[1]);
});
